"""Packs a folder of images into an archive that has the same bytes wherever it is made."""

import os
import zipfile
from pathlib import Path

_EPOCH = (1980, 1, 1, 0, 0, 0)


def pack_folder(root: str | os.PathLike[str], archive: str | os.PathLike[str]) -> None:
    """Packs all files under a folder, sorted and uncompressed (images are compressed already).

    Times, owners and permissions of the files do not matter. The archive appears under its name
    when it is complete.

    Args:
        root: the folder; names inside the archive are relative to it.
        archive: path of the .zip to write, replaced if it exists.
    """
    root, archive = Path(root), Path(archive)
    files = {p.relative_to(root).as_posix(): p for p in root.rglob("*") if p.is_file()}
    unfinished = archive.with_name(f".{archive.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(unfinished, "w") as packed:
            for name in sorted(files):
                member = zipfile.ZipInfo(name, date_time=_EPOCH)
                member.create_system = 3  # Unix, so that the permissions below are understood
                member.external_attr = 0o100644 << 16
                packed.writestr(member, files[name].read_bytes())
        unfinished.replace(archive)
    finally:
        unfinished.unlink(missing_ok=True)
