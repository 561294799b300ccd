"""Finds the downloads of a data set in a folder, or says exactly which are missing."""

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from qtdog_tf.data.catalog import DataSetEntry, Download
from qtdog_tf.errors import UserError
from qtdog_tf.prepare.archives import ARCHIVE_SUFFIXES


def find_sources(entry: DataSetEntry, folder: Path) -> tuple[Path, ...]:
    """Finds an archive, or the folder unpacked from it, for each download of a data set.

    Args:
        entry: the data set.
        folder: where a person put them. If it holds the folders of the domains, they are the
            sources.

    Returns:
        The archives and folders, in the order of `entry.downloads`.

    Raises:
        UserError: if the folder does not exist, a download is missing, or several could be it.
    """
    if not folder.is_dir():
        raise UserError(f"--from={folder} is no folder; it holds {_names(entry.downloads)}")
    if all((folder / name).is_dir() for name in entry.domains):
        return tuple(folder / name for name in entry.domains)
    found = [_matching(download, folder) for download in entry.downloads]
    missing = [d for d, paths in zip(entry.downloads, found, strict=True) if not paths]
    if missing:
        raise UserError(
            f"{folder} lacks {_names(missing)} of {entry.title}: get it from {entry.source}"
        )
    for download, paths in zip(entry.downloads, found, strict=True):
        if len(paths) > 1:
            raise UserError(
                f"{' and '.join(p.name for p in paths)} in {folder} could each be {download.name}: "
                "leave one"
            )
    return tuple(paths[0] for paths in found)


def _matching(download: Download, folder: Path) -> list[Path]:
    """Archives that match, or if there is none, folders."""
    archives, folders = [], []
    for path in sorted(folder.iterdir()):
        name = path.name.lower()
        suffix = next((s for s in ARCHIVE_SUFFIXES if name.endswith(s)), None)
        if path.is_dir() and _matches(name, download):
            folders.append(path)
        elif suffix and path.is_file() and _matches(name.removesuffix(suffix), download):
            archives.append(path)
    return archives or folders


def _matches(stem: str, download: Download) -> bool:
    return any(fnmatch(stem, pattern) for pattern in download.patterns)


def _names(downloads: Sequence[Download]) -> str:
    return ", ".join(download.name for download in downloads)
