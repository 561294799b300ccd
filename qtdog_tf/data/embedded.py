"""The data set inside the package: 2,416 emoji in 11 classes, drawn in four houses' styles.

The archive `emoji_styles.zip` and its attributions lie beside this file. `emoji_styles_root`
unpacks it at first use.
"""

import hashlib
import os
import shutil
import tempfile
import time
import zipfile
from importlib import resources
from io import BytesIO
from pathlib import Path

from qtdog_tf.data.zip_check import check_members
from qtdog_tf.errors import UserError
from qtdog_tf.files import rename_unless_there

EMOJI_STYLES = "emoji_styles"
CACHE_VARIABLE = "QTDOG_TF_CACHE"
ARCHIVE_SHA256 = "8cbf7589e78f2b38be44f10ab62f0354ec37f76910cbca84fd7421a13c163c63"
# An unpacking takes about a second. One that is an hour old was interrupted.
_ABANDONED_SECONDS = 3600


def cache_folder(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Returns where data is unpacked: the argument, $QTDOG_TF_CACHE or ~/.cache/qtdog_tf."""
    chosen = cache_dir or os.environ.get(CACHE_VARIABLE) or "~/.cache/qtdog_tf"
    return Path(chosen).expanduser()


def emoji_styles_root(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Returns the embedded data set's folder, unpacking it if it is not there or not whole.

    Safe against interruption and against several processes at once: each unpacks into a folder of
    its own and renames it; whoever is first wins.

    Args:
        cache_dir: where to unpack; see `cache_folder`.

    Returns:
        A folder `<domain>/<class>/<code point>.png`, with `ATTRIBUTIONS.md`.

    Raises:
        UserError: if the archive is damaged or the folder cannot be written.
    """
    cache = cache_folder(cache_dir)
    root = cache / f"{EMOJI_STYLES}-{ARCHIVE_SHA256[:8]}"
    contents = _archive_bytes()
    with zipfile.ZipFile(BytesIO(contents)) as archive:
        check_members(archive, len(contents))
        if _is_whole(root, archive):
            return root
        try:
            cache.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(cache)
            _unpack(archive, root)
        except OSError as error:
            raise UserError(
                f"cannot unpack the embedded data set into {cache}: {error.strerror}; "
                f"set {CACHE_VARIABLE} to a folder that can be written"
            ) from error
    return root


def _archive_bytes() -> bytes:
    contents = resources.files(__package__).joinpath(f"{EMOJI_STYLES}.zip").read_bytes()
    if hashlib.sha256(contents).hexdigest() != ARCHIVE_SHA256:
        raise UserError(
            f"the embedded archive {EMOJI_STYLES}.zip is damaged (its SHA-256 is wrong); "
            "install the package again"
        )
    return contents


def _is_whole(root: Path, archive: zipfile.ZipFile) -> bool:
    """Says whether all files are there, with their sizes: splits rest on the whole listing."""
    expected = {member.filename: member.file_size for member in archive.infolist()}
    found = {
        path.relative_to(root).as_posix(): path.stat().st_size
        for path in root.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
    return found == expected


def _unpack(archive: zipfile.ZipFile, root: Path) -> None:
    unpacked = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        archive.extractall(unpacked)
        unpacked.chmod(0o755)
        if root.exists() and not _is_whole(root, archive):
            root.rename(unpacked.with_name(unpacked.name + "-damaged"))
        if not root.exists():
            rename_unless_there(unpacked, root)
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
        shutil.rmtree(unpacked.with_name(unpacked.name + "-damaged"), ignore_errors=True)


def _remove_abandoned(cache: Path) -> None:
    for folder in cache.glob(f".{EMOJI_STYLES}-*"):
        if time.time() - folder.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
