"""The real programs: members trained in one command, averaged, evaluated, interrupted, refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from qtdog_tf.data import open_domains
from qtdog_tf.evaluation import choose_images, evaluate_run, open_run
from tests.programs import assert_refused, run_program, started_program, wait_for
from tests.small_data import TINY_RUN

PLAN = {**TINY_RUN, "target_domains": "line", "members": 2, "check_data": False}


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Two members that held out "line", their ensemble, and what the program printed."""
    output = tmp_path_factory.mktemp("runs") / "a"
    done = run_program("train", data=data, output=output, **PLAN)
    assert done.returncode == 0, done.stderr
    return output, done.stdout


def test_members_are_trained_and_averaged_in_one_command(
    data: Path, trained: tuple[Path, str]
) -> None:
    output, table = trained
    assert {path.name for path in output.iterdir() if path.is_dir()} == {
        *("line-trial0", "line-trial1", "line-ensemble0"),
    }
    summaries = [
        json.loads((output / f"line-trial{seed}" / "qtdog7" / "summary.json").read_text())
        for seed in (0, 1)
    ]
    assert summaries[0]["split"] != summaries[1]["split"]
    ensemble = json.loads((output / "line-ensemble0" / "qtdog7" / "summary.json").read_text())
    # The part that is reported is the first member's own.
    first = ensemble["figures"]["m0"]["domains"]["line"]["in"]["accuracy"]
    assert first == pytest.approx(summaries[0]["rows"]["sma/source_validation"]["target_in"])
    last = [line.split() for line in table.splitlines() if "ensemble, logits" in line]
    assert [row[3] for row in last] == ["eoq7"]

    domain_set = open_domains(str(data))
    folders = [output / f"line-{name}" / "qtdog7" for name in ("trial0", "trial1", "ensemble0")]
    logits = []
    for run in map(open_run, folders):
        chosen = choose_images(run, domain_set, ("line",))
        logits.append(evaluate_run(run, "selected_sma", chosen)[0].logits)
    assert np.abs(logits[0] - logits[1]).max() > 1e-3
    np.testing.assert_allclose(logits[2], (logits[0] + logits[1]) / 2, rtol=1e-5, atol=1e-5)


def test_the_same_command_prints_the_same_table(data: Path, trained: tuple[Path, str]) -> None:
    output, table = trained
    again = run_program("train", data=data, output=output, **PLAN)
    assert again.returncode == 0 and again.stdout == table, again.stderr
    more = run_program("train", data=data, output=output, **{**PLAN, "members": 3})
    assert_refused(more, "is the ensemble of trials [0, 1], not of [0, 1, 2]")


def test_other_programs_take_the_ensemble_as_a_run(
    trained: tuple[Path, str], tmp_path: Path
) -> None:
    output, _ = trained
    runs = f"{output}/line-ensemble0/qtdog7,{output}/line-trial0/qtdog7"
    done = run_program("evaluate", runs=runs, output=tmp_path / "figures")
    assert done.returncode == 0, done.stderr
    (entry, _) = json.loads((tmp_path / "figures" / "evaluation.json").read_text())["runs"]
    summary = json.loads((output / "line-ensemble0" / "qtdog7" / "summary.json").read_text())
    (line,) = [figures for figures in entry["domains"] if figures["domain"] == "line"]
    whole = summary["figures"]["ensemble"]["domains"]["line"]["all"]
    assert line["accuracy"] == pytest.approx(whole["accuracy"]) and line["images"] == 30
    assert (entry["variant"], entry["bits"]) == ("eoq7", 7)
    drawn = run_program("gallery", runs=runs, output=tmp_path / "line.png", images=6)
    assert drawn.returncode == 0, drawn.stderr


def test_compare_shows_ensembles_apart_from_single_runs(trained: tuple[Path, str]) -> None:
    done = run_program("compare", runs=trained[0], baseline="qtdog7")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    counts = {row[0]: row[-1] for row in rows if row and row[0] in ("eoq7", "qtdog7")}
    assert counts == {"eoq7": "1", "qtdog7": "2"}
    # One row under each of two headings (target in, and out if the splits have it in common), and
    # none among the pairs.
    assert 1 <= sum(row[:1] == ["eoq7"] for row in rows) <= 2


def test_killed_command_loses_at_most_the_member_in_progress(
    data: Path, trained: tuple[Path, str], tmp_path: Path
) -> None:
    output = tmp_path / "killed"
    plan = {**PLAN, "data": data, "output": output}
    second = output / "line-trial1" / "float" / "checkpoints"
    with (
        (tmp_path / "errors").open("w") as file,
        started_program("train", file, **plan) as process,
    ):
        wait_for(second.exists, process)
        process.kill()
    first = output / "line-trial0" / "qtdog7"
    assert second.exists() and not (output / "line-ensemble0").exists()
    before = {path: path.stat().st_mtime_ns for path in first.iterdir()}

    resumed = run_program("train", **plan)
    assert resumed.returncode == 0 and resumed.stdout == trained[1], resumed.stderr
    assert {path: path.stat().st_mtime_ns for path in first.iterdir()} == before


def test_runs_from_anywhere_are_averaged(trained: tuple[Path, str], tmp_path: Path) -> None:
    runs = ",".join(f"{trained[0]}/line-trial{seed}/qtdog7" for seed in (0, 1))
    plan = {"runs": runs, "output": tmp_path / "eoq", "average": "probabilities"}
    done = run_program("ensemble", **plan, model="last")
    assert done.returncode == 0, done.stderr
    assert "ensemble, probabilities" in done.stdout
    assert {path.name for path in (tmp_path / "eoq").iterdir()} == {
        *("ensemble.json", "run.json", "last.keras", "summary.json"),
    }
    again = run_program("ensemble", **plan, model="last")
    assert again.returncode == 0 and again.stdout == done.stdout, again.stderr
    assert_refused(run_program("ensemble", **plan), "belongs to a run of other settings")


def test_damaged_member_is_refused_and_nothing_written(
    trained: tuple[Path, str], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(trained[0] / "line-trial1" / "qtdog7", copy)
    path = copy / "selected_sma.keras"
    path.write_bytes(path.read_bytes()[:2000])
    runs = f"{trained[0]}/line-trial0/qtdog7,{copy}"
    done = run_program("ensemble", runs=runs, output=tmp_path / "eoq")
    assert_refused(done, f"model {path} is truncated or damaged")
    assert not (tmp_path / "eoq").exists()


def test_members_of_other_classes_are_refused(trained: tuple[Path, str], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(trained[0] / "line-trial1" / "qtdog7", copy)
    values = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps({**values, "classes": ["face", "vehicle", "hand"]}))
    runs = f"{trained[0]}/line-trial0/qtdog7,{copy}"
    done = run_program("ensemble", runs=runs, output=tmp_path / "eoq")
    assert_refused(done, "members must know the same classes in the same order, but class number 1")
    assert not (tmp_path / "eoq").exists()


def test_output_that_exists_is_refused(trained: tuple[Path, str], tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    runs = ",".join(f"{trained[0]}/line-trial{seed}/qtdog7" for seed in (0, 1))
    for output, sentence in (
        (tmp_path, "holds other files and no ensemble.json"),
        (tmp_path / "thesis.txt", "is a file, a folder is needed"),
    ):
        assert_refused(run_program("ensemble", runs=runs, output=output), sentence)
