"""A run quantized after training is measured on the images that the float run was measured on."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qtdog_tf.data.domains import DomainSet
from qtdog_tf.evaluation import Run
from qtdog_tf.evaluation.model_rows import knows_validation, parts_of_run
from qtdog_tf.evaluation.quantized_report import quantized_table
from qtdog_tf.evaluation.quantized_run import quantize_run
from qtdog_tf.quantization.post_training_settings import PostTrainingSettings
from qtdog_tf.training.evaluation import predict_logits, score
from qtdog_tf.training.trial_data import TrialData
from tests.trials import ROLES, SETTINGS
from tests.untrained_runs import make_run

TESTED = dataclasses.replace(SETTINGS, holdout=0.4, in_domain_test=True)
TEACHER = {"run": "gone", "validation_images": {"flat": 6, "gradient": 6}}


def float_run(path: Path, data: Path, row: dict[str, Any], **values: Any) -> Run:
    """A run with the models "selected" and "last", of one step."""
    variant = {"name": "erm", "mode": "off", "bits": 32}
    run = make_run(path, data, variant=variant, **values)
    for name in ("selected", "last"):
        shutil.copy(run.model_path("selected_sma"), run.path / f"{name}.keras")
    row = {"step": 3, "target_in": 0.5, "source_accuracy": 0.9, **row}
    identity = json.loads((run.path / "run.json").read_text())
    rows = {"raw/source_validation": row, "raw/last": row}
    (run.path / "summary.json").write_text(json.dumps({**identity, "rows": rows}))
    return run


def quantized(run: Run, domain_set: DomainSet) -> dict[str, Any]:
    settings = PostTrainingSettings(method="rtn", bits=7)
    return quantize_run(run, run.path.with_name("ptq"), settings, ["selected"], domain_set)


@pytest.mark.parametrize("settings", [SETTINGS, TESTED], ids=["whole", "tested"])
def test_parts_are_those_of_training(
    settings: Any, data: Path, domain_set: DomainSet, tmp_path: Path
) -> None:
    trial = TrialData(settings, domain_set, ROLES, 0)
    split = trial.identity()["split"]
    run = make_run(tmp_path / "erm", data, holdout=settings.holdout, split=split)
    found = parts_of_run(run, domain_set, settings.in_domain_test)
    for mine, theirs in zip(found, trial.parts(), strict=True):
        assert (mine.domain, mine.role, mine.split) == (theirs.domain, theirs.role, theirs.split)
        assert mine.last_only == theirs.last_only
        np.testing.assert_array_equal(mine.labels, theirs.labels)


def test_a_run_with_a_test_part_is_measured_on_both_halves(
    data: Path, domain_set: DomainSet, tmp_path: Path
) -> None:
    trial = TrialData(TESTED, domain_set, ROLES, 0)
    values = {"holdout": TESTED.holdout, "split": trial.identity()["split"]}
    run = float_run(tmp_path / "erm", data, {"source_test": 0.8}, **values)
    row = quantized(run, domain_set)["rows"]["raw/source_validation"]
    model = dataclasses.replace(run, path=tmp_path / "ptq").load_model("selected")
    for part, key in (("out", "source_accuracy"), ("test", "source_test")):
        accuracies = [
            score(predict_logits(model, one.images), one.labels).accuracy
            for one in trial.parts()
            if (one.role, one.split) == ("source", part)
        ]
        assert row[key] == pytest.approx(np.mean(accuracies))


def test_a_student_is_compared_on_validation_images_that_are_known(
    data: Path, domain_set: DomainSet, tmp_path: Path
) -> None:
    few = {**TEACHER, "validation_images": {"flat": 6, "gradient": 5}}
    run = float_run(tmp_path / "erm", data, {}, teacher=few)
    found = [knows_validation(run, domain_set, teacher) for teacher in (None, TEACHER, few, 3)]
    assert found == [True, True, False, False]
    summary = quantized(run, domain_set)
    row = summary["rows"]["raw/source_validation"]
    assert "source_accuracy" not in row and {"target_in", "source_train_accuracy"} <= row.keys()
    assert "90.0 -> -" in quantized_table(summary)
