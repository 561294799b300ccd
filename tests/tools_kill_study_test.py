"""Killed and resumed training ends with the same bits."""

import json
from pathlib import Path

from tests.programs import REPOSITORY, run_program
from tests.small_data import make_small_data


def test_the_committed_study_is_that_of_the_committed_flags() -> None:
    study = json.loads((REPOSITORY / "tools" / "results" / "kill_study.json").read_text())
    lines = (REPOSITORY / "configs" / "kill_study.flags").read_text().splitlines()
    given = dict(line[2:].split("=", 1) for line in lines if line.startswith("--") and "=" in line)
    recorded = {name: value for name, value in study["flags"].items() if name in given}
    assert len(recorded) > 10
    for name, value in recorded.items():
        text: object = given[name]
        if isinstance(value, list):
            text = given[name].split(",")
        elif isinstance(value, int | float):
            text = float(given[name])
        assert text == value, name
    assert study["kills"] >= 100 and study["identical"] == study["kills"]
    assert not study["differing"]


def test_a_handful_of_kills(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = run_program(
        "kill_study",
        f"--flagfile={REPOSITORY / 'configs' / 'kill_study.flags'}",
        data=make_small_data(tmp_path / "data"),
        holdout=0.2,
        variants="qtdog7",
        averages="sma,swad",
        kills=2,
        output=tmp_path / "runs",
        report=report,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert found["kills"] == found["identical"] == 2 and found["files_compared"] > 8
