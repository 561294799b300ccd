"""An image and weights made by formulas, the same everywhere: shared by tests and golden files."""

import math
import zlib
from collections.abc import Sequence

import numpy as np


def synthetic_image(size: int) -> np.ndarray:
    """Pixels 0..255, float32 [size, size, 3]: two ramps and a texture."""
    y, x = np.mgrid[:size, :size]
    channels = [x * 255 / (size - 1), y * 255 / (size - 1), (x * y) % 256]
    return np.stack(channels, -1).round().astype(np.float32)


def synthetic_tensor(name: str, shape: Sequence[int]) -> np.ndarray:
    """Weights of a size that keeps activations in a sane range, seeded by the tensor's name."""
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    uniform = np.random.default_rng(zlib.crc32(name.encode())).random(shape)
    if len(shape) > 1:
        return ((uniform - 0.5) * math.sqrt(12 * 2 / math.prod(shape[1:]))).astype(np.float32)
    if name.endswith(("weight", "running_var")):
        return (0.5 + uniform).astype(np.float32)
    return (uniform - 0.5).astype(np.float32)
