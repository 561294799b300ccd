"""Reads the listing of a folder `root/<domain>/<class>/<image>`.

The order is this project's own and documented, since every split depends on it: domains and classes
by name, images by file name, all compared as Python strings, as DomainBed does. (tfds'
`ImageFolder` shuffles, and drops BMP, GIF and WebP without a word.)
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from unicodedata import category

import numpy as np

from qtdog_tf.data.domains import Domain, DomainSet
from qtdog_tf.data.path_list import PathList
from qtdog_tf.errors import UserError

IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")


def is_image_name(name: str) -> bool:
    """Says whether a file name ends like an image's and does not start like a hidden file's."""
    return not name.startswith(".") and name.lower().endswith(IMAGE_SUFFIXES)


def refuse_link_outside(link: str, root: str | os.PathLike[str]) -> None:
    """Refuses a symbolic link that leads out of a folder: whoever made the folder chose the target.

    Raises:
        UserError: naming the link and where it leads.
    """
    target, inside = os.path.realpath(link), os.path.realpath(root)
    if target != inside and not target.startswith(os.path.join(inside, "")):
        raise UserError(
            f"{link} is a link that leads out of the folder, to {target}: put what it leads to "
            "in its place, or remove it"
        )


def read_folder(root: str | os.PathLike[str], name: str | None = None) -> DomainSet:
    """Lists the images of `root/<domain>/<class>/<image>`; opens none of them.

    Hidden files and folders are ignored, and so is everything that does not end like an image: the
    integrity check reports it. The classes are those of all domains together.

    Args:
        root: the folder that holds one folder a domain.
        name: what to call the data set; the folder's name by default.

    Returns:
        The domains, sorted by name; the images of each sorted by class, then file name.

    Raises:
        UserError: if the folder does not exist or cannot be read, holds no domain, or no image two
            levels down, a link that leads out of it, or a domain or class whose name is no text.
    """
    root = Path(root).expanduser()
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise UserError(f"data folder {root} {what}; it should hold <domain>/<class>/<image>")
    counts: dict[str, dict[str, int]] = {}
    paths = PathList.of_folders(_class_folders(root, counts))
    _refuse_empty(root, counts)
    classes = sorted({kind for kinds in counts.values() for kind in kinds})
    domains, start = [], 0
    for domain, kinds in counts.items():
        images = np.array(list(kinds.values()), np.int64)
        labels = np.repeat(np.array([classes.index(kind) for kind in kinds], np.int32), images)
        stop = start + len(labels)
        domains.append(Domain(domain, paths[start:stop], labels))
        start = stop
    return DomainSet(name or root.resolve().name, tuple(classes), tuple(domains), str(root))


def _class_folders(
    root: Path, counts: dict[str, dict[str, int]]
) -> Iterator[tuple[str, list[str]]]:
    """Yields the folder of each class of each domain and the images in it, and counts them."""
    for domain in _folders(root, root):
        counts[domain] = {}
        for kind in _folders(root / domain, root):
            names = _image_names(root / domain / kind, root)
            counts[domain][kind] = len(names)
            yield os.path.join(root, domain, kind, ""), names


def _folders(folder: Path, root: Path) -> list[str]:
    with _scan(folder) as entries:
        names = _names([e for e in entries if e.is_dir() and not e.name.startswith(".")], root)
    _refuse_no_text(folder, names)
    return names


def _refuse_no_text(folder: Path, names: list[str]) -> None:
    """Names of domains and classes go to terminals, into flags, and into the JSON files of runs."""
    for name in names:
        # A byte that is no UTF-8 is half a character here.
        if any(category(character) in ("Cc", "Cs") for character in name):
            raise UserError(
                f"data folder {folder} holds a folder {name!r}, whose name is not UTF-8 or has a "
                "control character in it: rename it"
            )


def _image_names(folder: Path, root: Path) -> list[str]:
    with _scan(folder) as entries:
        return _names([e for e in entries if is_image_name(e.name) and e.is_file()], root)


def _names(entries: list[os.DirEntry[str]], root: Path) -> list[str]:
    for entry in entries:
        if entry.is_symlink():
            refuse_link_outside(entry.path, root)
    return sorted(entry.name for entry in entries)


def _scan(folder: Path) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
    try:
        return os.scandir(folder)
    except OSError as error:
        raise UserError(f"data folder {folder} cannot be read: {error.strerror}") from error


def _refuse_empty(root: Path, counts: dict[str, dict[str, int]]) -> None:
    if not counts:
        raise UserError(
            f"data folder {root} holds no domains; it should hold <domain>/<class>/<image>"
        )
    if any(count for kinds in counts.values() for count in kinds.values()):
        return
    one_up = next((d for d in counts if _image_names(root / d, root)), None)
    hint = (
        f"images lie directly in {root / one_up}, so a level is missing"
        if one_up
        else f"images end in {', '.join(IMAGE_SUFFIXES)}"
    )
    raise UserError(f"data folder {root} holds no image as <domain>/<class>/<image>: {hint}")
