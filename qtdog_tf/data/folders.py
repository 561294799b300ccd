"""Reads the listing of a folder `root/<domain>/<class>/<image>`.

The order is this project's own and documented, since every split depends on it: domains and classes
by name, images by file name, all compared as Python strings, as DomainBed does. (tfds'
`ImageFolder` shuffles, and drops BMP, GIF and WebP without a word.)
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from qtdog_tf.data.domains import Domain, DomainSet
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
            levels down, or a link that leads out of it.
    """
    root = Path(root).expanduser()
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise UserError(f"data folder {root} {what}; it should hold <domain>/<class>/<image>")
    listing = {
        domain: {
            kind: _image_paths(root / domain / kind, root) for kind in _folders(root / domain, root)
        }
        for domain in _folders(root, root)
    }
    _refuse_empty(root, listing)
    classes = sorted({kind for kinds in listing.values() for kind in kinds})
    return DomainSet(
        name=name or root.resolve().name,
        classes=tuple(classes),
        domains=tuple(_domain(domain, kinds, classes) for domain, kinds in listing.items()),
        root=str(root),
    )


def _domain(name: str, kinds: dict[str, list[str]], classes: list[str]) -> Domain:
    counts = [len(kinds.get(kind, ())) for kind in classes]
    paths = tuple(path for kind in classes for path in kinds.get(kind, ()))
    return Domain(name, paths, np.repeat(np.arange(len(classes), dtype=np.int32), counts))


def _folders(folder: Path, root: Path) -> list[str]:
    with _scan(folder) as entries:
        return _names([e for e in entries if e.is_dir() and not e.name.startswith(".")], root)


def _image_paths(folder: Path, root: Path) -> list[str]:
    with _scan(folder) as entries:
        names = _names([e for e in entries if is_image_name(e.name) and e.is_file()], root)
    prefix = os.path.join(folder, "")
    return [prefix + name for name in names]


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


def _refuse_empty(root: Path, listing: dict[str, dict[str, list[str]]]) -> None:
    if not listing:
        raise UserError(
            f"data folder {root} holds no domains; it should hold <domain>/<class>/<image>"
        )
    if any(paths for kinds in listing.values() for paths in kinds.values()):
        return
    one_up = next((d for d in listing if _image_paths(root / d, root)), None)
    hint = (
        f"images lie directly in {root / one_up}, so a level is missing"
        if one_up
        else f"images end in {', '.join(IMAGE_SUFFIXES)}"
    )
    raise UserError(f"data folder {root} holds no image as <domain>/<class>/<image>: {hint}")
