"""The disk is full when any kind of file is to be written: nothing is half written, nothing lost.

An audit hook refuses to open the file, with the error that a full disk gives; a write that fails in
the middle of a file is in tools_train_test.py.
"""

import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qtdog_tf.data import open_domains
from qtdog_tf.data.domains import DomainSet
from qtdog_tf.training.progress import PhaseProgress
from qtdog_tf.training.roles import Roles
from qtdog_tf.training.settings import TrainSettings
from qtdog_tf.training.trial import Trial
from qtdog_tf.training.variants import parse_variants
from tests.small_data import TINY_RUN, make_small_data
from tools._run_digest import run_digests

SETTINGS = TrainSettings(**{**TINY_RUN, "data": "small", "steps": 8, "averages": ("sma", "swad")})  # type: ignore[arg-type]
(VARIANT,) = parse_variants(("qtdog5",))


class FullDisk:
    """Refuses the n-th opening for writing of a file in a folder whose name has `word` in it."""

    def __init__(self) -> None:
        self.folder, self.word, self.left = "", "", 0
        # A hook cannot be taken out again; at rest it does nothing.
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.left or event != "open" or not isinstance(arguments[0], str):
            return
        path, _, flags = arguments
        writes = flags & (os.O_WRONLY | os.O_RDWR)
        if writes and path.startswith(self.folder) and self.word in path:
            self.left -= 1
            if not self.left:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


@pytest.fixture(scope="module")
def disk() -> FullDisk:
    return FullDisk()


@pytest.fixture(scope="module")
def domain_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DomainSet]:
    yield open_domains(str(make_small_data(tmp_path_factory.mktemp("data"))))


def train(domain_set: DomainSet, output: Path) -> None:
    roles = Roles(("flat",), ("line",))
    Trial(SETTINGS, domain_set, roles, 0, output, PhaseProgress(9, False)).run([VARIANT])


@pytest.fixture(scope="module")
def straight(domain_set: DomainSet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    output = tmp_path_factory.mktemp("straight")
    train(domain_set, output)
    return run_digests(output)


@pytest.mark.parametrize(
    ("word", "number"),
    [
        ("results.jsonl", 2),
        ("checkpoints/.writing-", 1),
        ("checkpoints/.writing-", 7),
        ("qtdog5/.writing-", 1),
        ("qtdog5/.writing-", 6),
    ],
)
def test_a_full_disk_ends_the_run_and_it_goes_on_to_the_same_bits(
    disk: FullDisk,
    domain_set: DomainSet,
    straight: dict[str, str],
    tmp_path: Path,
    word: str,
    number: int,
) -> None:
    disk.folder, disk.word, disk.left = str(tmp_path), word, number
    with pytest.raises(OSError, match="No space left on device"):
        train(domain_set, tmp_path)
    assert disk.left == 0
    assert not list(tmp_path.rglob(".writing-*"))
    train(domain_set, tmp_path)
    assert run_digests(tmp_path) == straight
