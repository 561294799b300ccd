"""The archives of the data sets as they are offered, in miniature."""

from pathlib import Path

from qtdog_tf.data.catalog import (
    OFFICE_HOME,
    PACS,
    VLCS,
    DataSetEntry,
)
from qtdog_tf.prepare import PrepareSettings
from tests.layouts import below, cct_annotations, picture, write_tar, write_zip

KEEP_DUPLICATES = PrepareSettings(duplicates="none")


def files_below(root: Path) -> dict[str, bytes]:
    """What is in the files of a folder, by path."""
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def write_downloads(entry: DataSetEntry, folder: Path, classes: int | None = None) -> Path:
    """The archives of a data set as they are offered, an image of every class."""
    if entry is PACS:
        write_zip(folder / "PACS.zip", below("kfold/", entry, classes))
    elif entry is VLCS:
        write_tar(folder / "VLCS.tar.gz", below("VLCS/", entry, classes))
    elif entry is OFFICE_HOME:
        extra = {"OfficeHomeDataset_10072016/ImageInfo.csv": b"name,size"}
        files = below("OfficeHomeDataset_10072016/", entry, classes)
        write_zip(folder / "office_home.zip", {**files, **extra})
    else:
        files = below("", entry, classes)
        for domain in entry.domains:
            own = {n: c for n, c in files.items() if n.startswith(f"{domain}/")}
            write_zip(folder / f"{domain}.zip", own)
    return folder


def write_terra(folder: Path, images: dict[str, tuple[object, list[str]]]) -> Path:
    """Images and annotations of CCT-20: location and classes by file name."""
    files = {f"eccv_18_all_images_sm/{name}": picture(i, "JPEG") for i, name in enumerate(images)}
    write_tar(folder / "eccv_18_all_images_sm.tar.gz", files)
    write_tar(folder / "eccv_18_annotations.tar.gz", cct_annotations(images))
    return folder
