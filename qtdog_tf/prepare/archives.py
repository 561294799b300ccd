"""Reads the files of a ZIP, a TAR (packed by gzip or not) or a folder one by one, in memory.

Nothing is unpacked onto the disk under a name that an archive chose. A member that leaves the
folder, a link, or an archive that unpacks to far more than its size is refused. Start from
`read_members`.
"""

import contextlib
import dataclasses
import errno
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from qtdog_tf.data.zip_check import check_downloaded
from qtdog_tf.errors import UserError, one_line
from qtdog_tf.prepare.member import Member
from qtdog_tf.prepare.tar_stream import tar_members

ARCHIVE_SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")
# What zipfile and tarfile raise for files with wrong bytes in the middle.
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    struct.error,
    EOFError,
    LookupError,
    OverflowError,
    RuntimeError,
    UnicodeError,
)


def read_members(path: Path, advance: Callable[[int], object] = int) -> Iterator[Member]:
    """Goes through the files of an archive or folder; hidden ones and macOS' copies are left out.

    Args:
        path: a ZIP, TAR or gzipped TAR, recognised by what is in it, or a folder.
        advance: called with numbers of bytes that sum to `source_bytes(path)`.

    Yields:
        The files.

    Raises:
        UserError: if it is none of these, damaged, or refused.
    """
    with _damage_is_named(path):
        if path.is_dir():
            members = _folder_members(path, advance)
        elif zipfile.is_zipfile(path):
            members = _zip_members(path, advance)
        else:
            members = tar_members(path, advance)
        for member in members:
            if not _is_hidden(member.name):
                yield dataclasses.replace(member, read=_guarded(path, member.read))


@contextlib.contextmanager
def _damage_is_named(path: Path) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except _DAMAGE as error:
        raise UserError(
            f"{path} is refused, truncated or damaged ({one_line(error)}): get it again"
        ) from error
    except OSError as error:
        # gzip's own error has no number; a wrong offset makes zipfile seek to where nothing can be.
        if error.errno not in (None, errno.EINVAL):
            raise
        raise UserError(f"{path} is damaged ({one_line(error)}): get it again") from error


def _guarded(path: Path, read: Callable[[], bytes]) -> Callable[[], bytes]:
    def read_or_explain() -> bytes:
        with _damage_is_named(path):
            return read()

    return read_or_explain


def source_bytes(path: Path) -> int:
    """The size of an archive, or of all files of a folder."""
    return sum(f.lstat().st_size for f in _walk(path)) if path.is_dir() else path.stat().st_size


def _is_hidden(name: str) -> bool:
    return any(
        part.startswith(".") or part == "__MACOSX" for part in name.split("/") if part != "."
    )


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(parent, name) for name in sorted(names))
        linked = next((name for name in folders if Path(parent, name).is_symlink()), None)
        if linked:
            raise UserError(f"{Path(parent, linked)} is a link: put the folder in its place")


def _folder_members(folder: Path, advance: Callable[[int], object]) -> Iterator[Member]:
    for file in _walk(folder):
        if file.is_symlink() or not file.is_file():
            raise UserError(f"{file} is a link or no ordinary file: put the file in its place")
        size = file.stat().st_size
        yield Member(file.relative_to(folder).as_posix(), size, None, file.read_bytes)
        advance(size)


def _zip_members(path: Path, advance: Callable[[int], object]) -> Iterator[Member]:
    remaining = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        check_downloaded(archive, remaining)
        for info in archive.infolist():
            if not info.is_dir():
                read = partial(archive.read, info)
                yield Member(info.filename, info.file_size, info.CRC, read)
            step = min(info.compress_size, remaining)
            remaining -= step
            advance(step)
        advance(remaining)
