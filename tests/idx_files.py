"""Miniatures of MNIST's IDX files."""

import gzip
import struct
from pathlib import Path

import numpy as np


def idx_bytes(values: np.ndarray) -> bytes:
    """A uint8 array in the IDX format."""
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return header + values.astype(np.uint8).tobytes()


def digits(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random blots, brighter for a larger label, uint8 [n, 28, 28], and labels 0 to 9 in turn."""
    labels = np.arange(n, dtype=np.uint8) % 10
    images = np.random.default_rng(seed).integers(0, 100, (n, 28, 28), np.uint8)
    images[:, 8:20, 8:20] += 15 * labels[:, None, None]
    return images, labels


def write_idx_files(folder: Path, train: int = 60, test: int = 20, suffix: str = ".gz") -> Path:
    """Writes the four files; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (kind, n) in enumerate({"train": train, "t10k": test}.items()):
        images, labels = digits(n, seed)
        for name, values in (("images-idx3", images), ("labels-idx1", labels)):
            contents = idx_bytes(values)
            path = folder / f"{kind}-{name}-ubyte{suffix}"
            path.write_bytes(gzip.compress(contents, mtime=0) if suffix == ".gz" else contents)
    return folder
