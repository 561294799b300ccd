"""Miniature copies of the data sets of the catalogue in their true layout."""

import io
import json
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from qtdog_tf.data.catalog import DataSetEntry


def picture(number: int, kind: str = "PNG") -> bytes:
    """An image file that differs from those of other numbers."""
    file = io.BytesIO()
    colour = (number % 251, number // 251 % 251, 7)
    Image.new("RGB", (8, 6), colour).save(file, kind)
    return file.getvalue()


def miniature(
    entry: DataSetEntry, classes: int = 3, images: int = 2
) -> Iterator[tuple[str, bytes]]:
    """Yields (`<domain>/<class>/<image>`, contents) of the first classes of every domain."""
    number = 0
    for domain in entry.domains:
        for kind in entry.classes[:classes]:
            for i in range(images):
                yield f"{domain}/{kind}/pic_{i + 1:03d}.jpg", picture(number, "JPEG")
                number += 1


def write_layout(root: Path, entry: DataSetEntry, classes: int = 3, images: int = 2) -> Path:
    """Writes a miniature below a folder; returns the folder."""
    for name, contents in miniature(entry, classes, images):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents)
    return root


def write_zip(path: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    """Packs files into a ZIP."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, contents in files.items():
            archive.writestr(name, contents)
    return path


def write_tar(path: Path, files: dict[str, bytes]) -> Path:
    """Packs files into a TAR, by gzip if its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, contents in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(contents)
            archive.addfile(info, io.BytesIO(contents))
    return path


def below(prefix: str, entry: DataSetEntry, classes: int | None = None) -> dict[str, bytes]:
    """A miniature with an image of every class, or of the first ones, below a folder's name."""
    chosen = len(entry.classes) if classes is None else classes
    return {f"{prefix}{name}": contents for name, contents in miniature(entry, chosen, 1)}


def cct_annotations(images: dict[str, tuple[object, list[str]]]) -> dict[str, bytes]:
    """CCT-20's five files for images: location and classes by file name, dealt out in turn."""
    kinds = sorted({kind for _, names in images.values() for kind in names})
    files = {}
    for number, part in enumerate(("train", "cis_val", "cis_test", "trans_val", "trans_test")):
        own = list(images.items())[number::5]
        data = {
            "categories": [{"id": 10 + i, "name": kind} for i, kind in enumerate(kinds)],
            "images": [{"id": n[:-4], "file_name": n, "location": where} for n, (where, _) in own],
            "annotations": [
                {"image_id": n[:-4], "category_id": 10 + kinds.index(kind), "id": f"{n}{kind}"}
                for n, (_, names) in own
                for kind in names
            ],
        }
        contents = json.dumps(data).encode()
        files[f"eccv_18_annotation_files/{part}_annotations.json"] = contents
    return files
