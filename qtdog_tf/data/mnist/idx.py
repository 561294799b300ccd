"""Reads the IDX files of MNIST and Fashion-MNIST, packed by gzip or not, a few images at a time.

The format: two zero bytes, 8 for unsigned bytes, the number of dimensions, each dimension as a
big-endian 32-bit number, then the values. What a header claims is checked before it is believed,
and a packed file is never unpacked further than its header says. Start from `IdxSource`.
"""

import contextlib
import gzip
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qtdog_tf.data.mnist.files import find_idx_files
from qtdog_tf.errors import UserError, one_line

EDGE = 28
CLASSES = 10
# Far more than the 60,000 of MNIST; of each, one byte of label is kept.
MAX_IMAGES = 1_000_000
_UBYTE = 8
_CHUNK = 1024
_GZIP_START = b"\x1f\x8b"
_DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error)


@contextlib.contextmanager
def open_idx(path: Path) -> Iterator[Callable[[int], bytes]]:
    """Opens a file for reading; yields a function that reads at most so many unpacked bytes.

    Raises:
        UserError: if the file is damaged or cannot be read.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP_START
            file.seek(0)
            with gzip.GzipFile(fileobj=file) if packed else contextlib.nullcontext(file) as stream:
                yield stream.read
    except _DAMAGE as error:
        raise UserError(
            f"{path} is truncated or damaged ({one_line(error)}): get it again"
        ) from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def read_labels(path: Path) -> np.ndarray:
    """Reads a file of labels.

    Returns:
        uint8 [n], each below 10.

    Raises:
        UserError: if it is not such a file.
    """
    with open_idx(path) as read:
        (n,) = _read_header(read, path, 1)
        labels = np.frombuffer(_read_exactly(read, n, path), np.uint8)
        _refuse_more(read, path)
    if labels.max(initial=0) >= CLASSES:
        raise UserError(f"{path} holds a label {labels.max()}; labels are 0 to {CLASSES - 1}")
    return labels


def count_images(path: Path) -> int:
    """Reads how many images a file says it holds.

    Raises:
        UserError: if it is not a file of images of 28 x 28 pixels.
    """
    with open_idx(path) as read:
        return _read_header(read, path, 3)[0]


def read_images(path: Path) -> Iterator[np.ndarray]:
    """Reads a file of images, a thousand at a time.

    Yields:
        uint8 [at most 1,024, 28, 28].

    Raises:
        UserError: if it is not such a file, or its length is not what its header says.
    """
    with open_idx(path) as read:
        n, *_ = _read_header(read, path, 3)
        for start in range(0, n, _CHUNK):
            count = min(_CHUNK, n - start)
            values = _read_exactly(read, count * EDGE * EDGE, path)
            yield np.frombuffer(values, np.uint8).reshape(count, EDGE, EDGE)
        _refuse_more(read, path)


@dataclass(frozen=True, eq=False)
class IdxSource:
    """Training and test images in one row, as DomainBed joins them.

    Attributes:
        files: what `find_idx_files` returns.
        labels: uint8 [n].
    """

    files: Mapping[str, Path]
    labels: np.ndarray

    @classmethod
    def open(cls, folder: Path) -> "IdxSource":
        """Finds the files in a folder and reads the labels and the headers.

        Raises:
            UserError: if a file is missing, damaged, or has not as many labels as images.
        """
        return cls.of_files(find_idx_files(folder))

    @classmethod
    def of_files(cls, files: Mapping[str, Path]) -> "IdxSource":
        """Reads the labels and the headers of the four files.

        Raises:
            UserError: if a file is damaged or has not as many labels as images.
        """
        labels = []
        for kind in ("train", "t10k"):
            images, path = files[f"{kind}-images"], files[f"{kind}-labels"]
            labels.append(read_labels(path))
            if len(labels[-1]) != (n := count_images(images)):
                raise UserError(f"{path} has {len(labels[-1]):,} labels for the {n:,} of {images}")
        return cls(files, np.concatenate(labels))

    def images(self) -> Iterator[np.ndarray]:
        """Yields uint8 [28, 28], in the order of the labels.

        Raises:
            UserError: if a file is damaged.
        """
        for kind in ("train", "t10k"):
            for images in read_images(self.files[f"{kind}-images"]):
                yield from images


def _read_header(read: Callable[[int], bytes], path: Path, dimensions: int) -> tuple[int, ...]:
    start = _read_exactly(read, 4, path)
    if start != bytes([0, 0, _UBYTE, dimensions]):
        raise UserError(
            f"{path} is no IDX file of bytes in {dimensions} dimensions (it starts with "
            f"{start.hex()}): get it again"
        )
    sizes = struct.unpack(f">{dimensions}I", _read_exactly(read, 4 * dimensions, path))
    if sizes[0] > MAX_IMAGES:
        raise UserError(f"{path} claims {sizes[0]:,} images, more than {MAX_IMAGES:,}")
    if dimensions == 3 and sizes[1:] != (EDGE, EDGE):
        raise UserError(
            f"{path} holds images of {sizes[1]} x {sizes[2]} pixels; {EDGE} x {EDGE} are needed"
        )
    return sizes


def _read_exactly(read: Callable[[int], bytes], count: int, path: Path) -> bytes:
    values = read(count)
    if len(values) != count:
        raise UserError(f"{path} ends before what its header says: get it again")
    return values


def _refuse_more(read: Callable[[int], bytes], path: Path) -> None:
    if read(1):
        raise UserError(f"{path} is longer than its header says: get it again")
