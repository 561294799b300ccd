"""Reads a TAR, packed by gzip or not, in one go and without unpacking it. See `tar_members`."""

import contextlib
import gzip
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from qtdog_tf.data.zip_check import leaves_folder, most_unpacked
from qtdog_tf.prepare.member import Member

_GZIP_START = b"\x1f\x8b"


def tar_members(path: Path, advance: Callable[[int], object]) -> Iterator[Member]:
    """Goes through the files of a TAR.

    Args:
        path: the archive.
        advance: called with the number of bytes of it that were read.

    Yields:
        The files.

    Raises:
        tarfile.TarError: if it is damaged, unpacks to far more than its size, or a member is a
            link, a device, or would leave the folder.
        EOFError, zlib.error, gzip.BadGzipFile: if what packs it is damaged.
    """
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        packed = file.read(2) == _GZIP_START
        file.seek(0)
        stream: Any = _Counted(file, advance)
        if packed:
            stream = stack.enter_context(gzip.GzipFile(fileobj=stream))
        limited: Any = _Limited(stream, most_unpacked(path.stat().st_size))
        archive: Any = stack.enter_context(tarfile.open(fileobj=limited, mode="r|"))
        for info in archive:
            if leaves_folder(info.name):
                raise tarfile.TarError(f"its member {info.name!r} would leave the folder")
            if not info.isfile() and not info.isdir():
                raise tarfile.TarError(f"its member {info.name!r} is a link or a device")
            if info.isfile():
                yield Member(info.name, info.size, None, _tar_reader(archive, info))
            # It would keep every member in a list.
            archive.members = []
        # The end carries gzip's checksum.
        while limited.read(2**20):
            pass
        if any(limited.tail):
            raise tarfile.TarError("its end is missing")


def _tar_reader(archive: Any, info: tarfile.TarInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        stream = archive.extractfile(info)
        return stream.read() if stream else b""

    return read


class _Counted:
    """A file that reports how much of it has been read."""

    def __init__(self, file: Any, advance: Callable[[int], object]) -> None:
        self._file, self._advance = file, advance

    def read(self, size: int = -1) -> bytes:
        """Reads bytes and reports their number."""
        contents = self._file.read(size)
        self._advance(len(contents))
        return contents


class _Limited:
    """A stream that ends with an error behind a number of bytes.

    Attributes:
        tail: the last block read; it is zero at the end of a whole TAR.
    """

    def __init__(self, stream: Any, limit: int) -> None:
        self._stream, self._left, self.tail = stream, limit, b""

    def read(self, size: int) -> bytes:
        """Reads bytes, if there may be so many."""
        contents = self._stream.read(size)
        self._left -= len(contents)
        self.tail = (self.tail + contents)[-tarfile.BLOCKSIZE :]
        if self._left < 0:
            raise tarfile.TarError("it unpacks to far more than its size")
        return contents
