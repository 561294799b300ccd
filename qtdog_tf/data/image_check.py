"""Opens images one by one and says which cannot be read, and which show the same picture.

Every image is decoded by the decoder that training uses, so "readable" means readable there. Start
from `inspect_images`; `find_unreadable` names the culprits after a failed training step.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from qtdog_tf.data.decode import decode_image

# Bounds the memory that waiting results take, whatever the number of images.
_CHUNK = 1024
_DIGEST_BYTES = 16
_IMAGE_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"RIFF")

_decode = tf.function(decode_image, input_signature=[tf.TensorSpec([], tf.string)])


@dataclass(frozen=True)
class ImageState:
    """What opening one image found.

    Attributes:
        path: the image.
        digest: a hash of shape and pixels, equal for equal pictures; empty if it cannot be read.
        problem: None, or why it cannot be read, for example "is truncated or damaged".
    """

    path: str
    digest: bytes
    problem: str | None


def inspect_image(path: str) -> ImageState:
    """Reads and decodes one image."""
    try:
        contents = Path(path).read_bytes()
    except OSError as error:
        return ImageState(path, b"", f"cannot be opened ({error.strerror})")
    try:
        pixels = _decode(contents).numpy()
    except tf.errors.OpError:
        return ImageState(path, b"", _problem(contents))
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=_DIGEST_BYTES)
    digest.update(pixels.tobytes())
    return ImageState(path, digest.digest(), None)


def inspect_images(paths: Sequence[str], threads: int | None = None) -> Iterator[ImageState]:
    """Reads and decodes images in parallel.

    Args:
        paths: the images.
        threads: how many at once; the number of CPU cores by default.

    Yields:
        The state of each image, in the order of the paths.
    """
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        for start in range(0, len(paths), _CHUNK):
            yield from pool.map(inspect_image, paths[start : start + _CHUNK])


def find_unreadable(paths: Sequence[str], threads: int | None = None) -> tuple[ImageState, ...]:
    """Returns the states of the images that cannot be read, in the order of the paths."""
    return tuple(state for state in inspect_images(paths, threads) if state.problem)


def _problem(contents: bytes) -> str:
    if not contents:
        return "is empty"
    if not contents.startswith(_IMAGE_STARTS):
        return "is no image, whatever its name says"
    if contents.startswith(b"RIFF") and contents[12:16] == b"VP8X" and contents[20] & 0x02:
        return "is an animated WebP, which is not supported"
    return "is truncated, damaged, or of a kind that cannot be read"
