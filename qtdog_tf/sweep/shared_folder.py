"""A folder that every machine of a cluster reaches: a path of fsspec. Start from `SharedFolder`.

Such stores (s3://, gs://, file:///nfs/...) know no locks and promise little of two writers. So a
file appears under its name in one go, one attempt at a time writes to a place (the engine begins
the next one when the last has ended), and order does the rest: see `order_of_upload`.
"""

import posixpath
from collections.abc import Iterable
from pathlib import Path

import fsspec

from qtdog_tf.errors import UserError, one_line
from qtdog_tf.files import UNFINISHED, replacing
from qtdog_tf.training.finish import SUMMARY


def is_url(output: str) -> bool:
    """Whether an output is a path of fsspec (`s3://bucket/folder`) and not one of this machine."""
    return "://" in output


class SharedFolder:
    """Files by names such as "pacs/sketch-trial0/erm/summary.json".

    Args:
        url: of the folder, which need not exist; what an installed fsspec file system understands.

    Raises:
        UserError: if no file system for it is installed, or it refuses the address.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        try:
            self._files, self._root = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise UserError(
                f"output {url} cannot be opened ({one_line(error)}): install the file system that "
                "fsspec needs for it (s3fs for s3://, gcsfs for gs://), or name a folder"
            ) from error

    def sizes(self, under: str = "") -> dict[str, int]:
        """The size in bytes of every whole file under a name, by name."""
        self._files.invalidate_cache()
        top = self._path(under)
        if not self._files.exists(top):
            return {}
        found = self._files.find(top, detail=True)
        sizes = {posixpath.relpath(path, self._root): info["size"] for path, info in found.items()}
        return {
            name: size
            for name, size in sizes.items()
            if not posixpath.basename(name).startswith(UNFINISHED)
        }

    def upload(self, local: Path, name: str) -> None:
        """Copies a file there; it appears in one go, in the place of what was there."""
        folder, last = posixpath.split(self._path(name))
        unfinished = posixpath.join(folder, UNFINISHED + last)
        self._files.makedirs(folder, exist_ok=True)
        self._files.put_file(str(local), unfinished)
        self._files.mv(unfinished, posixpath.join(folder, last))

    def download(self, name: str, local: Path) -> None:
        """Copies a file here; it appears in one go."""
        with replacing(local) as temporary:
            self._files.get_file(self._path(name), str(temporary))

    def read_text(self, name: str) -> str:
        """The contents of a small file; empty if it is not there."""
        self._files.invalidate_cache()
        try:
            return self._files.cat_file(self._path(name)).decode()
        except FileNotFoundError:
            return ""

    def write_text(self, name: str, text: str) -> None:
        """Writes a small file."""
        path = self._path(name)
        self._files.makedirs(posixpath.dirname(path), exist_ok=True)
        self._files.pipe_file(path, text.encode())

    def remove(self, names: Iterable[str]) -> None:
        """Removes files; those that are gone already do no harm."""
        for name in names:
            try:
                self._files.rm_file(self._path(name))
            except FileNotFoundError:
                continue

    def move(self, old: str, new: str) -> None:
        """Gives every file under a name another one."""
        for name in sorted(self.sizes(old), key=lambda name: posixpath.basename(name) != SUMMARY):
            target = self._path(new + name.removeprefix(old))
            self._files.makedirs(posixpath.dirname(target), exist_ok=True)
            self._files.mv(self._path(name), target)

    def _path(self, name: str) -> str:
        return posixpath.join(self._root, name) if name else self._root


def order_of_upload(names: Iterable[str]) -> list[str]:
    """The order in which files of runs go to a folder that may lose its writer at any moment.

    A summary says that its run is finished, so it comes after everything; a checkpoint refers to
    logs and sets of arrays, so it comes after these.
    """

    def rank(name: str) -> tuple[int, str]:
        folder, last = posixpath.split(name)
        if last == SUMMARY:
            return 2, name
        refers = last.startswith("step-") and posixpath.basename(folder) == "checkpoints"
        return int(refers), name

    return sorted(names, key=rank)
