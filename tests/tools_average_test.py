"""The real programs that make one model of several runs: averaged weights, and a student."""

import json
from pathlib import Path

import pytest

from tests.programs import run_program
from tests.small_data import TINY_RUN
from tests.untrained_runs import make_run


@pytest.fixture(scope="module")
def members(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs that began with the same weights, line-trial0/qtdog7 and line-trial1/qtdog7."""
    root = tmp_path_factory.mktemp("members")
    for seed in (0, 1):
        folder = root / f"line-trial{seed}" / "qtdog7"
        make_run(folder, data, seed, initialization="0" * 64, algorithm="erm")
    return root


def test_weights_of_runs_are_averaged(members: Path, tmp_path: Path) -> None:
    runs = ",".join(str(members / f"line-trial{seed}" / "qtdog7") for seed in (0, 1))
    output = tmp_path / "diwa"
    done = run_program("average", runs=runs, output=output, model="selected_sma")
    assert done.returncode == 0, done.stderr
    assert "average, weights" in done.stdout and "diwa_qtdog7" in done.stdout
    summary = json.loads((output / "summary.json").read_text())
    assert (summary["average"], summary["model"]) == ("weights", "selected_sma")


def test_a_student_is_trained_by_its_teacher(data: Path, members: Path, tmp_path: Path) -> None:
    done = run_program(
        "train",
        **TINY_RUN,
        data=data,
        target_domains="line",
        check_data=False,
        variants="qtdog7",
        algorithm="distill",
        teacher=members / "{targets}-trial1" / "qtdog7",
        output=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "choose a step: the last step counts" in done.stderr
    summary = json.loads((tmp_path / "line-trial0" / "qtdog7" / "summary.json").read_text())
    assert summary["teacher"]["run"] == str(members / "line-trial1" / "qtdog7")
    assert summary["bytes"] < summary["float_bytes"]
