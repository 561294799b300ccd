"""The real programs that make one model of several runs: averaged weights, and a student."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from qtdog_tf.data import open_domains
from qtdog_tf.evaluation import make_ensemble, open_runs
from qtdog_tf.export import calibration_choice
from qtdog_tf.training.batch_statistics import learning_layers, measure_statistics
from tests.programs import assert_refused, run_program
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


def test_statistics_that_learned_are_measured_anew(data: Path, tmp_path: Path) -> None:
    """Whatever the members' are, they are those of training images under the averaged weights."""
    same = {"initialization": "0" * 64, "algorithm": "erm", "freeze_batch_norm": False}
    runs = [make_run(tmp_path / f"m{seed}", data, seed, **same) for seed in (0, 1)]
    for run, shift in zip(runs, (5.0, 9.0), strict=True):
        model = run.load_model("selected_sma")
        for layer in learning_layers(model):
            layer.moving_mean.assign_add(np.full(layer.moving_mean.shape, shift))
        model.save(run.path / "selected_sma.keras")
    output = tmp_path / "diwa"
    plan = {"runs": ",".join(str(run.path) for run in runs), "model": "selected_sma"}
    done = run_program("average", **plan, output=output)
    assert done.returncode == 0, done.stderr
    average = keras.saving.load_model(output / "selected_sma.keras", compile=False)
    found = average.get_weights()
    pixels = calibration_choice(runs[0], open_domains(str(data)), 2048, 0).pixels
    measure_statistics(average, [pixels[i : i + 64] for i in range(0, len(pixels), 64)])
    for ours, theirs in zip(found, average.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    (data / "line" / "face").rename(data / "line" / "phase")
    refused = run_program("average", **plan, output=tmp_path / "other", evaluate=False)
    (data / "line" / "phase").rename(data / "line" / "face")
    assert_refused(refused, "needed for BatchNorm's statistics: restore it")


def test_a_student_of_an_ensemble_becomes_one_small_file(
    data: Path, members: Path, tmp_path: Path
) -> None:
    runs = open_runs([members / f"line-trial{seed}" / "qtdog7" for seed in (0, 1)])
    teacher = tmp_path / "teachers" / "line-ensemble0" / "qtdog7"
    make_ensemble(list(runs.values()), teacher)
    done = run_program(
        "train",
        **TINY_RUN,
        data=data,
        target_domains="line",
        check_data=False,
        variants="qtdog7",
        algorithm="distill",
        teacher=tmp_path / "teachers" / "{targets}-ensemble0" / "qtdog7",
        output=tmp_path / "student",
    )
    assert done.returncode == 0, done.stderr
    assert "choose a step: the last step counts" in done.stderr
    run = tmp_path / "student" / "line-trial0" / "qtdog7"
    summary = json.loads((run / "summary.json").read_text())
    assert summary["teacher"]["run"] == str(teacher)
    of_teacher = json.loads((teacher / "summary.json").read_text())
    # The two members of the teacher are float models of the student's network.
    assert summary["bytes"] < summary["float_bytes"] == of_teacher["bytes"] / 2
    file = tmp_path / "student.tflite"
    # Twelve steps leave a model that is unsure; what counts here is that it becomes a file.
    exported = run_program("export_tflite", run=run, output=file, model="last", min_agreement=0.5)
    assert exported.returncode == 0, exported.stderr
    report = json.loads(file.with_suffix(".report.json").read_text())
    assert report["passed"] and report["checks"][0]["detail"].startswith("0 mismatches")
