"""How every program fails: places that cannot be written or read are one sentence."""

import errno
import os
from pathlib import Path

import pytest

from tests.benchmark_runs import evaluation, write_run
from tests.programs import assert_refused, run_program
from tools._main import _about_the_disk


def test_a_file_where_a_folder_should_be_and_a_name_that_is_too_long(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "a", 0, [evaluation(0, 0.5, {"a": (0.5, 0.5)})])
    (tmp_path / "README.md").touch()
    for place, reason in {
        "README.md/x": "File exists",
        "README.md/x/y": "Not a directory",
        "x" * 300: "File name too long",
    }.items():
        done = run_program("tables", runs=tmp_path / "runs", output=tmp_path / place)
        assert_refused(done, f"error: cannot read or write at {tmp_path}")
        assert f": {reason}; choose another place" in done.stderr


@pytest.mark.parametrize(
    ("number", "beginning"),
    [
        (errno.ENOSPC, "cannot write at a/b: No space left on device; free or choose"),
        (errno.EACCES, "cannot read or write at a/b: Permission denied; choose"),
        (errno.EISDIR, "cannot read or write at a/b: Is a directory; choose"),
    ],
)
def test_what_a_person_can_do_something_about(number: int, beginning: str) -> None:
    sentence = _about_the_disk(OSError(number, os.strerror(number), "a/b"))
    assert sentence is not None and sentence.startswith(beginning)


def test_other_errors_keep_their_traceback() -> None:
    assert _about_the_disk(OSError(errno.EBADF, "bad", "a")) is None
    assert _about_the_disk(OSError("of a library, without a number")) is None
