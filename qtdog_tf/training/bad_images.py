"""Training images that cannot be read any more, though they could when training began."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from qtdog_tf.data import find_unreadable
from qtdog_tf.data.domains import DomainSet
from qtdog_tf.data.splits import Split
from qtdog_tf.errors import UserError
from qtdog_tf.files import read_json, write_json

Skipped = list[dict[str, object]]


class SkippedImages:
    """The images of a phase that were skipped, in its `skipped.json`.

    Args:
        path: the file; absent while there are none.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.images: Skipped = read_json(path) if self.path.exists() else []

    def add(self, step: int, problems: Mapping[str, str]) -> None:
        """Notes images that a batch needed and nobody can read.

        Args:
            step: of the batch.
            problems: what is wrong, by path.
        """
        self.images += [
            {"step": step, "path": path, "problem": problem} for path, problem in problems.items()
        ]
        write_json(self.path, self.images)

    @property
    def paths(self) -> frozenset[str]:
        """The paths of the images."""
        return frozenset(str(image["path"]) for image in self.images)


def unreadable(paths: Sequence[str]) -> dict[str, str]:
    """What is wrong with those of the images that cannot be read, by path."""
    return {state.path: str(state.problem) for state in find_unreadable(sorted(set(paths)))}


def without_images(
    domain_set: DomainSet, splits: Mapping[str, Split], skipped: frozenset[str]
) -> dict[str, Split]:
    """Splits in whose training parts the next image of the domain stands for each skipped one.

    All others keep their positions, so every other draw of a batch stays as it was.

    Raises:
        UserError: if nothing is left of a domain.
    """
    if not skipped:
        return dict(splits)
    replaced = {}
    for name, split in splits.items():
        paths = domain_set.domain(name).paths_at(split.in_)
        good = np.array([os.fspath(path) not in skipped for path in paths], bool)
        if not good.any():
            raise UserError(f"no training image of domain {name!r} can be read any more")
        positions = np.flatnonzero(good)
        # The first good one at or behind each position; behind the last, the first of all.
        following = positions[np.searchsorted(positions, np.arange(len(good))) % len(positions)]
        replaced[name] = Split(np.asarray(split.in_)[following], split.out)
    return replaced
