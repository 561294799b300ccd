"""Refuses ZIP archives whose members leave the folder or unpack to more than the archive itself.

Everything here is packed without compression, so a member that is compressed, or larger than the
file that holds it, is not of our making. Start from `check_members`.
"""

import stat
import zipfile
from pathlib import PurePosixPath

_UNIX_MODE_SHIFT = 16


def check_members(archive: zipfile.ZipFile, archive_bytes: int) -> None:
    """Looks at names and sizes; reads no member.

    Args:
        archive: the open archive.
        archive_bytes: size of its file.

    Raises:
        zipfile.BadZipFile: naming the first member that is wrong.
    """
    names = set()
    total = 0
    for member in archive.infolist():
        name = member.filename
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or not name.isprintable():
            raise zipfile.BadZipFile(f"its member {name!r} would leave the folder")
        if stat.S_ISLNK(member.external_attr >> _UNIX_MODE_SHIFT):
            raise zipfile.BadZipFile(f"its member {name!r} is a link")
        if name in names:
            raise zipfile.BadZipFile(f"its member {name!r} is there twice")
        if member.compress_type != zipfile.ZIP_STORED:
            raise zipfile.BadZipFile(f"its member {name!r} is compressed, which none of ours is")
        names.add(name)
        total += member.file_size
    # Members that share their bytes are small one by one.
    if total > archive_bytes:
        raise zipfile.BadZipFile(f"its members claim {total:,} bytes in {archive_bytes:,}")
