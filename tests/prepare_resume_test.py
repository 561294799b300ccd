"""Interrupted, killed and finished preparations, and two at once."""

import multiprocessing
import os
import signal
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import pytest

from qtdog_tf.data.catalog import (
    PACS,
    ROTATED_MNIST,
    VLCS,
    DataSetEntry,
)
from qtdog_tf.errors import UserError
from qtdog_tf.locks import hold
from qtdog_tf.prepare import Prepared, PrepareSettings, prepare, tree
from qtdog_tf.prepare.member import Member
from tests.downloads import files_below, write_downloads
from tests.idx_files import write_idx_files
from tests.layouts import below


@pytest.mark.parametrize("entry", [PACS, VLCS, ROTATED_MNIST], ids=lambda e: e.name)
def test_an_interrupted_preparation_goes_on(
    entry: DataSetEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    down, output = tmp_path / "down", tmp_path / "out"
    if entry is ROTATED_MNIST:
        write_idx_files(down)
    else:
        write_downloads(entry, down)
    whole = prepare(entry, down, tmp_path / "whole")
    put, calls = tree._put, iter(range(100))

    def put_ten(path: Path, member: Member) -> bool:
        if next(calls) == 10:
            raise KeyboardInterrupt
        return put(path, member)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(tree, "_put", put_ten)
        prepare(entry, down, output)
    assert not output.exists()
    unfinished = tmp_path / ".out.preparing"
    there = [p for p in sorted(unfinished.rglob("*")) if p.is_file()]
    assert len(there) == 10
    # Cut off by a crash of the machine, right in size but wrong, and of another attempt.
    there[0].write_bytes(b"")
    there[1].write_bytes(bytes(there[1].stat().st_size))
    (there[2].parent / "stale.png").write_bytes(b"x")
    (there[2].parent / ".writing-123").write_bytes(b"x")
    # Killed between the record and the last rename.
    (unfinished / "prepared.json").write_text("{}")
    (there[0].parents[1] / "stray.png").write_bytes(b"x")
    (unfinished / "unknown/cat").mkdir(parents=True)
    (unfinished / "unknown/cat/1.png").write_bytes(b"x")
    again = prepare(entry, down, output)
    assert again.kept == 8
    assert again.written + again.kept == whole.written
    assert files_below(output) == files_below(tmp_path / "whole")
    assert sorted(p.name for p in output.iterdir()) == sorted([*entry.domains, "prepared.json"])
    assert not unfinished.exists()


def prepare_and_die(down: str, output: str) -> None:
    def progress(total: int, unit: str) -> AbstractContextManager:
        written = iter(range(100))
        return nullcontext(lambda _: next(written) < 20 or os.kill(os.getpid(), signal.SIGKILL))

    prepare(PACS, Path(down), Path(output), progress=progress)


def test_a_killed_preparation_goes_on(tmp_path: Path) -> None:
    down, output = write_downloads(PACS, tmp_path / "down"), tmp_path / "out"
    process = multiprocessing.get_context("forkserver").Process(
        target=prepare_and_die, args=(str(down), str(output))
    )
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert not output.exists()
    result = prepare(PACS, down, output)
    assert (result.kept, result.written) == (21, 7)
    found = files_below(output)
    del found["prepared.json"]
    assert found == below("", PACS)


def test_a_finished_folder_is_checked_and_not_written_again(tmp_path: Path) -> None:
    down, output = write_downloads(PACS, tmp_path / "down"), tmp_path / "out"
    first = prepare(PACS, down, output)
    (down / "PACS.zip").unlink()

    def again(entry: DataSetEntry = PACS, **settings: bool) -> Prepared:
        return prepare(entry, down, output, PrepareSettings(**settings))

    second = again()
    assert (second.written, second.kept) == (0, 28)
    assert second.warnings == first.warnings
    np.testing.assert_array_equal(second.counts, first.counts)
    (output / "sketch/dog/pic_001.jpg").unlink()
    assert "domain sketch has no image of class dog" in again().warnings
    with pytest.raises(UserError, match=r"out is there: domain sketch has no.*; delete it and"):
        again(strict=True)
    with pytest.raises(UserError, match="out was made otherwise: name a new folder"):
        again(VLCS)
    (output / "prepared.json").unlink()
    with pytest.raises(UserError, match="out exists: name a new folder, or delete it first"):
        again()


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    down = write_downloads(PACS, tmp_path / "down")
    with (
        hold(tmp_path / "out", "prepared"),
        pytest.raises(UserError, match=r"out is being prepared by process \d+"),
    ):
        prepare(PACS, down, tmp_path / "out")
