"""Runs are found however they are named, and told apart; what is damaged is named."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from qtdog_tf.errors import UserError
from qtdog_tf.report.material import gather
from qtdog_tf.report.run_reader import read_runs
from qtdog_tf.report.what_was_run import train_command
from tests import analysis_fixtures as made
from tests.build_files import ROOT


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Runs "erm" and "qtdog7" of two trials that held out "line"."""
    photos = tmp_path / "photos"
    made.write_output(tmp_path / "a", "erm", ("erm", "qtdog7"), ("line",), (0, 1), photos)
    return tmp_path / "a"


def test_a_run_a_trial_or_all(output: Path) -> None:
    everything = read_runs([output])
    assert [run.method for run in everything.runs] == ["ERM", "QT-DoG 7 bits"] * 2
    assert [run.path for run in read_runs([output / "line-trial1"]).runs] == [
        output / "line-trial1" / "erm",
        output / "line-trial1" / "qtdog7",
    ]
    (one,) = read_runs([output / "line-trial1" / "erm"]).runs
    assert (one.target, one.trial, one.variant, one.start) == ("line", 1, "erm", made.START)
    assert one.output == output and not one.is_ensemble
    # Named twice, also by another way to it, it is one run.
    assert len(read_runs([output, output / "line-trial1" / "..", output / "line-trial0"]).runs) == 4


def test_curves_are_those_of_the_log(output: Path) -> None:
    run = read_runs([output]).runs[1]
    assert run.curves.keys() == {"raw", "sma", "swa", "swad"}
    raw = run.curves["raw"]
    assert raw["steps"] == [*range(0, made.STEPS, made.EVERY), made.STEPS - 1]
    chosen = run.summary["rows"]["raw/source_validation"]
    assert chosen["step"] == raw["selected_step"] >= made.START
    assert raw["target_in"][raw["steps"].index(chosen["step"])] == chosen["target_in"]
    assert raw["best_minus_selected"] >= 0 < raw["std_after_start"]


def test_runs_without_logs_models_and_settings_are_read() -> None:
    found = read_runs([ROOT / "tools" / "results" / "emoji_styles"])
    assert len(found.runs) == 60 and not found.unfinished
    assert not any(run.curves for run in found.runs)
    assert found.outputs[0].images["line"] == {"in": 483, "out": 122}


def test_unfinished_runs_are_counted_and_left_out(output: Path) -> None:
    (output / "line-trial1" / "erm" / "summary.json").unlink()
    shutil.copytree(output / "line-trial1" / "erm", output / "line-trial1" / "float")
    found = read_runs([output])
    assert len(found.runs) == 3
    assert found.unfinished == (output / "line-trial1" / "erm",)
    for trial in ("0", "1"):
        for path in output.glob(f"line-trial{trial}/*/summary.json"):
            path.unlink()
    with pytest.raises(UserError, match=r"holds no finished run \(4 are not finished\)"):
        read_runs([output])


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_runs([tmp_path / "nowhere"])
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is not a folder"):
        read_runs([tmp_path / "file"])
    with pytest.raises(UserError, match="holds no finished run"):
        read_runs([tmp_path])
    with pytest.raises(UserError, match="name what to report on"):
        gather()


def test_equal_methods_of_two_folders_are_told_apart(output: Path) -> None:
    other = output.parent / "b"
    shutil.copytree(output, other)
    shutil.rmtree(other / "line-trial0" / "qtdog7")
    shutil.rmtree(other / "line-trial1" / "qtdog7")
    names = {run.method for run in read_runs([output, other]).runs}
    assert names == {"ERM (a)", "ERM (b)", "QT-DoG 7 bits"}
    # Of another algorithm it is another method.
    made.edit(other / "settings.json", lambda v: v["identity"].update(algorithm="sam"))
    assert {run.method for run in read_runs([output, other]).runs} == {
        *("ERM", "SAM", "QT-DoG 7 bits")
    }


def test_an_ensemble_is_a_method_of_its_own(output: Path) -> None:
    folder = output / "line-ensemble0" / "qtdog7"
    shutil.copytree(output / "line-trial0" / "qtdog7", folder)
    (folder / "results.jsonl").unlink()

    def change(values: dict[str, Any]) -> None:
        values["variant"]["name"] = "eoq7"
        values["members"] = []

    made.edit(folder / "summary.json", change)
    found = read_runs([output]).runs
    (ensemble,) = [run for run in found if run.is_ensemble]
    assert ensemble.method == "EoQ 7 bits" and not ensemble.curves


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("settings.json", "{", "settings.json is damaged"),
        ("settings.json", '{"identity": {"quantize_step": "x"}}', "damaged .*quantize_step"),
        ("settings.json", '{"identity": [], "versions": {}}', "identity is not a table"),
        ("line-trial0/data.json", '{"identity": {"images": 3}}', "images is not a table"),
        ("line-trial0/erm/summary.json", "[]", "it holds no table"),
        ("line-trial0/erm/results.jsonl", '{"step": 1}\n', "line 1 is damaged"),
    ],
)
def test_damage_is_named(output: Path, file: str, text: str, sentence: str) -> None:
    (output / file).write_text(text)
    with pytest.raises(UserError, match=sentence) as caught:
        read_runs([output])
    assert file.rpartition("/")[2] in str(caught.value)


def test_a_log_of_wrong_values_is_damaged(output: Path) -> None:
    path = output / "line-trial0" / "erm" / "results.jsonl"
    lines = path.read_text().splitlines()
    values = json.loads(lines[0])
    values["source"]["flat"]["out"]["accuracy"] = "high"
    path.write_text("\n".join([json.dumps(values), *lines[1:]]))
    with pytest.raises(UserError, match=r"results.jsonl is damaged"):
        read_runs([output])


def test_the_command_that_trained_them(output: Path) -> None:
    made.edit(
        output / "settings.json", lambda v: v["identity"].update(data="a b", per_channel=False)
    )
    found = read_runs([output])
    shown = train_command(found.outputs[0], found.runs)
    assert "'--data=a b'" in shown and "--noper_channel" in shown
    assert "--steps=120" in shown and "--quantize_step=40" in shown
    assert "--learning_rate" not in shown  # the default
    assert "--target_domains=line --trial_seeds=0,1 --variants=erm,qtdog7" in shown
