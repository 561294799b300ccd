"""Checkpoints of a phase of training: the last few, each whole, or noticed not to be.

    step-000480.npz              full state after 480 updates
    selected-raw-000320.npz      a set of arrays that never changes: written once, referred to

Start from `CheckpointStore`. A file gets its name when it is complete and on the disk; what it
refers to is written before it, and removed when no checkpoint refers to it any more. So a kill at
any moment leaves a whole checkpoint, and a damaged one has another behind it.
"""

import dataclasses
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qtdog_tf.errors import UserError
from qtdog_tf.files import read_arrays, read_metadata, write_arrays

ArraySets = Mapping[str, Sequence[np.ndarray]]
_CHECKPOINT = re.compile(r"step-(\d{6,})\.npz")


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What was saved at one step.

    Attributes:
        step: updates done.
        arrays: by name.
        plain: plain values.
        sets: the unchanging sets of arrays, by name.
    """

    step: int
    arrays: dict[str, np.ndarray]
    plain: dict[str, Any]
    sets: dict[str, list[np.ndarray]]


class CheckpointStore:
    """The checkpoints in one folder.

    Args:
        folder: made with the first checkpoint.
        keep: how many are kept. Default 2: the newest, and the one before it.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder = Path(folder)
        self.keep = keep
        # Sets that are on the disk, and the digests of their files.
        self._digests: dict[str, str] = {}

    def save(
        self,
        step: int,
        arrays: Mapping[str, np.ndarray],
        plain: Mapping[str, Any],
        sets: ArraySets | None = None,
    ) -> None:
        """Writes a checkpoint, then removes those that are too old.

        Args:
            step: updates done; a checkpoint of this step that is there is replaced.
            arrays: by name.
            plain: JSON values.
            sets: arrays by names that never stand for anything else in this run.
        """
        sets = sets or {}
        for name, values in sets.items():
            if name not in self._digests:
                numbered = {f"{i:04d}": np.asarray(v) for i, v in enumerate(values)}
                write_arrays(self._set_path(name), numbered, {})
                self._digests[name] = _digest(self._set_path(name))
        digests = {name: self._digests[name] for name in sets}
        metadata = {"plain": dict(plain), "sets": digests, "digest": _digest_arrays(arrays)}
        write_arrays(self._path(step), dict(arrays), metadata)
        self._remove_old(newest=step)

    def load(
        self,
        report: Callable[[str], None] = lambda sentence: None,
        check: Callable[[Checkpoint], None] = lambda checkpoint: None,
    ) -> Checkpoint | None:
        """The newest checkpoint that is whole; None if there never was one.

        Args:
            report: called with a sentence for each one that is passed over.
            check: raises `UserError` if something else that the checkpoint counts on is damaged.

        Raises:
            UserError: if there are checkpoints, and every one is damaged.
        """
        steps = self.steps()
        for step in reversed(steps):
            try:
                found, digests = self._read(step)
                check(found)
            except UserError as error:
                report(f"{error}; the checkpoint before it is used")
                continue
            self._digests = digests
            return found
        if steps:
            raise UserError(
                f"every checkpoint in {self.folder} is truncated or damaged: remove this folder, "
                "and the same command starts this part of the training again"
            )
        return None

    def load_plain(self, step: int) -> dict[str, Any]:
        """The plain values only of the checkpoint of that step.

        Raises:
            UserError: if it is damaged.
        """
        return read_metadata(self._path(step))["plain"]

    def steps(self) -> list[int]:
        """The steps of the checkpoints that are there, ascending."""
        if not self.folder.is_dir():
            return []
        matches = (_CHECKPOINT.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted(int(match[1]) for match in matches if match)

    def clear(self) -> None:
        """Removes all checkpoints."""
        if not self.folder.is_dir():
            return
        for path in self.folder.iterdir():
            path.unlink()
        self.folder.rmdir()
        self._digests = {}

    def _read(self, step: int) -> tuple[Checkpoint, dict[str, str]]:
        arrays, metadata = read_arrays(self._path(step))
        if _digest_arrays(arrays) != metadata["digest"]:
            raise UserError(f"{self._path(step)} is truncated or damaged (its digest is wrong)")
        sets = {}
        for name, digest in metadata["sets"].items():
            path = self._set_path(name)
            if not path.exists() or _digest(path) != digest:
                raise UserError(f"{path}, a part of {self._path(step)}, is gone or damaged")
            values, _ = read_arrays(path)
            sets[name] = [values[number] for number in sorted(values)]
        return Checkpoint(step, arrays, metadata["plain"], sets), metadata["sets"]

    def _remove_old(self, newest: int) -> None:
        """Removes all but the last few; later ones are damaged, or training had not gone on."""
        steps = self.steps()
        kept = [step for step in steps if step <= newest][-self.keep :]
        for step in set(steps) - set(kept):
            self._path(step).unlink()
        self._remove_unused_sets()

    def _remove_unused_sets(self) -> None:
        used: set[str] = set()
        for step in self.steps():
            try:
                used.update(read_metadata(self._path(step))["sets"])
            except UserError:
                # A damaged one is passed over by `load`; it must not keep others from being saved.
                continue
        for path in self.folder.iterdir():
            is_set = path.suffix == ".npz" and not _CHECKPOINT.fullmatch(path.name)
            if is_set and path.stem not in used:
                path.unlink()
                self._digests.pop(path.stem, None)

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:06d}.npz"

    def _set_path(self, name: str) -> Path:
        return self.folder / f"{name}.npz"


def _digest_arrays(arrays: Mapping[str, np.ndarray]) -> str:
    """A digest of names and contents: the checksums of a zip file do not cover its directory."""
    digest = hashlib.blake2b()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()
