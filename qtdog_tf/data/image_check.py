"""Opens images one by one and says which cannot be read, and which show the same picture.

Every image is decoded by the decoder that training uses, so "readable" means readable there. Start
from `inspect_images`; `find_unreadable` names the culprits after a failed training step.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from qtdog_tf.data.decode import decode_image
from qtdog_tf.data.pixel_limit import MAX_PIXELS, declared_pixels

# Bounds the memory that waiting results take, whatever the number of images.
_CHUNK = 1024
DIGEST_BYTES = 16
# More than an uncompressed image of `MAX_PIXELS` takes. A whole file is read before it is decoded.
MAX_FILE_BYTES = 2**30
_IMAGE_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"RIFF")

_declared_pixels = tf.function(declared_pixels, input_signature=[tf.TensorSpec([], tf.string)])


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


def read_image_file(path: str) -> bytes:
    """Reads an image file whole, if it is an ordinary file of a size that an image may have.

    Raises:
        OSError: if it is not, or cannot be read; `strerror` says why.
    """
    found = Path(path).stat()
    # Reading from a pipe or a device may never end.
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        raise OSError(errno.EINVAL, "it is no ordinary file")
    if found.st_size > MAX_FILE_BYTES:
        raise OSError(errno.EFBIG, f"it is larger than {MAX_FILE_BYTES:,} bytes")
    return Path(path).read_bytes()


def inspect_image(path: str) -> ImageState:
    """Reads and decodes one image."""
    try:
        contents = read_image_file(path)
    except OSError as error:
        return ImageState(path, b"", f"cannot be opened ({error.strerror})")
    try:
        pixels = decode_image(tf.constant(contents)).numpy()
    except tf.errors.OpError:
        return ImageState(path, b"", _problem(contents))
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=DIGEST_BYTES)
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
    flags = contents[20] if len(contents) > 20 and contents[12:16] == b"VP8X" else 0
    if contents.startswith(b"RIFF") and flags & 0x02:
        return "is an animated WebP, which is not supported"
    pixels = _pixels(contents)
    if pixels > MAX_PIXELS:
        return f"declares {pixels:,} pixels, more than the {MAX_PIXELS:,} that are decoded"
    return "is truncated, damaged, or of a kind that cannot be read"


def _pixels(contents: bytes) -> int:
    try:
        return int(_declared_pixels(contents))
    except tf.errors.OpError:
        return 0
