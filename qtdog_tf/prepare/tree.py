"""The folder `<domain>/<class>/<image>` that is being made. Start from `ImageTree`.

It lies beside its final place under a hidden name until it is whole. Each image is written under a
temporary name and renamed; when the work starts again, what is there already is compared and not
written again, and what does not belong there is removed at the end.
"""

import os
import zlib
from pathlib import Path

import numpy as np

from qtdog_tf.data.catalog import DataSetEntry
from qtdog_tf.data.folders import is_image_name
from qtdog_tf.errors import UserError
from qtdog_tf.files import UNFINISHED, remove_unfinished, write_json
from qtdog_tf.prepare.member import Member

RECORD = "prepared.json"
_MAX_NAME_BYTES = 255


class ImageTree:
    """A folder of images under construction.

    Args:
        output: the final place.
        entry: the data set.

    Attributes:
        folder: where images are written until `finish`.
        written: images written by this object.
        kept: images that an earlier attempt had written.
    """

    def __init__(self, output: Path, entry: DataSetEntry) -> None:
        self.output, self.entry = output, entry
        self.folder = output.with_name(f".{output.name}.preparing")
        self.written = self.kept = 0
        self._names: dict[tuple[str, str], set[str]] = {}
        remove_unfinished(self.folder)

    def add(self, domain: str, kind: str, member: Member) -> bool:
        """Adds an image under the last part of its member's name.

        Args:
            domain: one of the data set's domains.
            kind: one of its classes.
            member: the image.

        Returns:
            False if its name is not an image's, so that it was left out.

        Raises:
            UserError: if it is empty, too large, its name is too long, or another image has the
                same place.
        """
        name = member.name.rsplit("/", 1)[-1]
        if not is_image_name(name):
            return False
        if len(os.fsencode(name)) > _MAX_NAME_BYTES:
            raise UserError(f"{name!r} is longer than the {_MAX_NAME_BYTES} bytes of a file name")
        names = self._names.setdefault((domain, kind), set())
        if name in names:
            raise UserError(
                f"{domain}/{kind}/{name} is there twice: leave one archive or folder of {domain}"
            )
        folder = self.folder / domain / kind
        if not names:
            folder.mkdir(parents=True, exist_ok=True)
        names.add(name)
        if member.size == 0:
            raise UserError(f"{member.name} is empty: get its archive again")
        if _put(folder / name, member):
            self.written += 1
        else:
            self.kept += 1
        return True

    def counts(self) -> np.ndarray:
        """The images added, int64 [domains, classes]."""
        rows = [
            [len(self._names.get((domain, kind), ())) for kind in self.entry.classes]
            for domain in self.entry.domains
        ]
        return np.array(rows, np.int64)

    def finish(self, record: dict[str, object]) -> None:
        """Removes what was not added, writes a record and gives the folder its name.

        Args:
            record: plain values, written to `prepared.json`.

        Raises:
            UserError: if the final place has been taken meanwhile.
        """
        # From the bottom, so that what is empty then can be removed.
        for parent, folders, files in os.walk(self.folder, topdown=False):
            place = Path(parent).relative_to(self.folder).parts
            names = self._names.get((place[0], place[1]), set()) if len(place) == 2 else set()
            for name in files:
                if name not in names:
                    Path(parent, name).unlink()
            for name in folders:
                if not any(Path(parent, name).iterdir()):
                    Path(parent, name).rmdir()
        write_json(self.folder / RECORD, record)
        os.sync()
        try:
            self.folder.rename(self.output)
        except OSError as error:
            raise UserError(f"{self.output} cannot be made: {error.strerror}") from error


def _put(path: Path, member: Member) -> bool:
    """Writes a file unless it is there with the same contents."""
    there = _read_if_size(path, member.size)
    if there is not None and member.crc is not None and zlib.crc32(there) == member.crc:
        return False
    contents = member.contents()
    if there == contents:
        return False
    # No sync for each of half a million files: `finish` syncs once, before the folder is named.
    temporary = path.parent / f"{UNFINISHED}{os.getpid()}"
    temporary.write_bytes(contents)
    temporary.replace(path)
    return True


def _read_if_size(path: Path, size: int) -> bytes | None:
    try:
        return path.read_bytes() if path.stat().st_size == size else None
    except FileNotFoundError:
        return None
