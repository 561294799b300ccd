"""Two processes on one folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from qtdog_tf.errors import UserError
from qtdog_tf.locks import hold
from tests.programs import REPOSITORY

HOLD = """
import sys
from pathlib import Path
from qtdog_tf.locks import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_second_process_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "line-trial0"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout and process.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"is being trained by process {process.pid} on "):
            hold(folder).__enter__()
        # However it ends.
        process.kill()
        process.wait()
        with hold(folder):
            pass


def test_other_folders_are_free(tmp_path: Path) -> None:
    with hold(tmp_path / "a"), hold(tmp_path / "b"):
        assert {path.name for path in tmp_path.iterdir()} == {".a.lock", ".b.lock"}
