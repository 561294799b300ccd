"""Refuses archives whose members leave the folder or unpack to far more than the archive itself.

What we pack ourselves is not compressed, so a member that is, or that is larger than the file that
holds it, is not of our making: `check_members`. Archives that a person downloaded may be
compressed: `check_downloaded`.
"""

import stat
import zipfile
from pathlib import PurePosixPath

# An archive of images unpacks to hardly more than its size, one of annotations to 20 times as much.
MAX_RATIO = 100
SLACK_BYTES = 2**24
_UNIX_MODE_SHIFT = 16
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1


def leaves_folder(name: str) -> bool:
    """Says whether the name of a member would be unpacked outside, or moves a terminal's cursor."""
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts or "\\" in name or not name.isprintable()


def most_unpacked(archive_bytes: int) -> int:
    """How many bytes an archive of a size may unpack to."""
    return MAX_RATIO * archive_bytes + SLACK_BYTES


def check_members(archive: zipfile.ZipFile, archive_bytes: int) -> None:
    """Looks at names and sizes of an archive that this project packed; reads no member.

    Args:
        archive: the open archive.
        archive_bytes: size of its file.

    Raises:
        zipfile.BadZipFile: naming the first member that is wrong.
    """
    total = _check_names(archive)
    for member in archive.infolist():
        if member.compress_type != zipfile.ZIP_STORED:
            raise zipfile.BadZipFile(
                f"its member {member.filename!r} is compressed, which none of ours is"
            )
    # Members that share their bytes are small one by one.
    if total > archive_bytes:
        raise zipfile.BadZipFile(f"its members claim {total:,} bytes in {archive_bytes:,}")


def check_downloaded(archive: zipfile.ZipFile, archive_bytes: int) -> None:
    """Looks at names and sizes of an archive that somebody else packed; reads no member.

    Args:
        archive: the open archive.
        archive_bytes: size of its file.

    Raises:
        zipfile.BadZipFile: naming the first member that is wrong.
    """
    total = _check_names(archive)
    for member in archive.infolist():
        if member.flag_bits & _ENCRYPTED or member.compress_type not in _COMPRESSIONS:
            raise zipfile.BadZipFile(
                f"its member {member.filename!r} is encrypted, or compressed in a rare way"
            )
    if total > most_unpacked(archive_bytes):
        raise zipfile.BadZipFile(f"its members claim {total:,} bytes in {archive_bytes:,}")


def _check_names(archive: zipfile.ZipFile) -> int:
    """Refuses wrong names, links and repetitions; returns the bytes that all members claim."""
    names = set()
    total = 0
    for member in archive.infolist():
        name = member.filename
        if leaves_folder(name):
            raise zipfile.BadZipFile(f"its member {name!r} would leave the folder")
        if stat.S_ISLNK(member.external_attr >> _UNIX_MODE_SHIFT):
            raise zipfile.BadZipFile(f"its member {name!r} is a link")
        if name in names:
            raise zipfile.BadZipFile(f"its member {name!r} is there twice")
        names.add(name)
        total += member.file_size
    return total
