"""Killed and resumed training ends with the same bits."""

import json
from pathlib import Path

from tests.programs import REPOSITORY, run_program
from tests.small_data import make_small_data


def test_a_handful_of_kills(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = run_program(
        "kill_study",
        f"--flagfile={REPOSITORY / 'configs' / 'kill_study.flags'}",
        data=make_small_data(tmp_path / "data"),
        holdout=0.2,
        variants="qtdog7",
        averages="sma,swad",
        kills=3,
        output=tmp_path / "runs",
        report=report,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert found["kills"] == found["identical"] == 3 and found["files_compared"] > 8
