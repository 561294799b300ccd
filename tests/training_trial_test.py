"""Forked, resumed and straight runs must be one and the same, bit for bit."""

import itertools
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from qtdog_tf.data.domains import DomainSet
from qtdog_tf.errors import UserError
from qtdog_tf.files import read_json
from qtdog_tf.quantization import quantize_wrappers
from qtdog_tf.training.callbacks import StartQuantization
from qtdog_tf.training.evaluation import predict_logits, score
from qtdog_tf.training.model import build_training_model
from qtdog_tf.training.settings import TrainSettings
from qtdog_tf.training.variants import parse_variants
from tests.trials import (
    SETTINGS,
    assert_same_run,
    make_trial,
    run_with_a_break,
    validation_parts,
    weights_of,
)

VARIANTS = parse_variants(("erm", "qtdog5", "frozen7", "frozen_float"))


@pytest.fixture(scope="module")
def finished(domain_set: DomainSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs")
    make_trial(domain_set, output).run(VARIANTS)
    return output / "line-trial0"


@pytest.mark.parametrize("name", ["erm", "qtdog5", "frozen7", "frozen_float"])
def test_fork_equals_a_straight_fit(
    domain_set: DomainSet, finished: Path, tmp_path: Path, name: str
) -> None:
    """A plain `fit` over all steps with the public callback gives the forked run's last weights."""
    (variant,) = parse_variants((name,))
    trial = make_trial(domain_set, tmp_path)
    model = build_training_model(
        SETTINGS,
        len(trial.data.domain_set.classes),
        bits=variant.bits if variant.quantized else 7,
        seed=trial.data.seed,
    )
    model.fit(
        trial.data.batches().between(0, SETTINGS.steps),
        verbose=0,
        shuffle=False,
        callbacks=[StartQuantization(SETTINGS.quantize_step, variant.mode)],
    )
    forked = weights_of(finished / name / "last.keras")
    for mine, theirs in zip(model.get_weights(), forked, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(("stop_at", "hour"), [(2, 3600), (9, -3600)])
def test_interrupted_run_resumes_to_the_same_bits(
    domain_set: DomainSet,
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop_at: int,
    hour: int,
) -> None:
    """Whichever way the clock goes: whoever reads it finds it moved by an hour."""
    readings = itertools.count()
    monkeypatch.setattr(time, "time", lambda: 2e9 + hour * next(readings))
    (variant,) = parse_variants(("qtdog5",))
    run_with_a_break(domain_set, tmp_path, [variant], stop_at, monkeypatch)
    assert_same_run(tmp_path / "line-trial0" / "qtdog5", finished / "qtdog5")


def test_variants_share_the_float_phase_and_part_afterwards(finished: Path) -> None:
    logs = {v.name: (finished / v.name / "results.jsonl").read_text() for v in VARIANTS}
    lines = {name: log.splitlines() for name, log in logs.items()}
    # Two lines (weights as trained, average) an evaluation; steps 0 and 4 come before step 6.
    assert len({tuple(all_lines[:4]) for all_lines in lines.values()}) == 1
    assert len({tuple(all_lines[4:]) for all_lines in lines.values()}) == len(VARIANTS)


def test_another_member_shares_the_float_phase_and_sees_other_batches(
    domain_set: DomainSet, finished: Path, tmp_path: Path
) -> None:
    """And repeats; either is what it is without the other."""
    for folder, names in (("a", ("qtdog5_m1", "qtdog5")), ("b", ("qtdog5_m1",))):
        make_trial(domain_set, tmp_path / folder).run(parse_variants(names))
    one, other = (tmp_path / folder / "line-trial0" for folder in ("a", "b"))
    assert_same_run(one / "qtdog5_m1", other / "qtdog5_m1")
    assert_same_run(one / "qtdog5", finished / "qtdog5")
    logs = [(one / name / "results.jsonl").read_text() for name in ("qtdog5", "qtdog5_m1")]
    pairs = list(zip(*(log.splitlines() for log in logs), strict=True))
    # Two lines an evaluation; steps 0 and 4 come before step 6.
    assert [a == b for a, b in pairs] == [True] * 4 + [False] * (len(pairs) - 4)
    splits = [read_json(one / name / "run.json")["split"] for name in ("qtdog5", "qtdog5_m1")]
    assert splits[0] == splits[1]


def test_quantized_runs_select_quantized_steps_only(finished: Path) -> None:
    rows = read_json(finished / "qtdog5" / "summary.json")["rows"]
    assert all(row["quantized"] and row["step"] >= 6 for row in rows.values())


def test_finished_runs_are_not_trained_again(
    domain_set: DomainSet, finished: Path, tmp_path: Path
) -> None:
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("*") if p.is_file()}
    summaries = make_trial(domain_set, finished.parent).run(VARIANTS)
    assert [s["variant"]["name"] for s in summaries] == [v.name for v in VARIANTS]
    assert {p: p.stat().st_mtime_ns for p in finished.rglob("*") if p.is_file()} == before


def test_other_split_in_the_same_folder_is_refused(domain_set: DomainSet, finished: Path) -> None:
    other = TrainSettings(**{**vars(SETTINGS), "holdout": 0.3})
    with pytest.raises(UserError, match="other settings"):
        make_trial(domain_set, finished.parent, other).run(VARIANTS)


@pytest.mark.parametrize("name", ["erm", "qtdog5"])
def test_saved_models_are_those_that_the_summary_reports(
    domain_set: DomainSet, finished: Path, tmp_path: Path, name: str
) -> None:
    rows = read_json(finished / name / "summary.json")["rows"]
    parts = validation_parts(make_trial(domain_set, tmp_path))
    files = {
        "raw/source_validation": "selected.keras",
        "sma/source_validation": "selected_sma.keras",
        "raw/last": "last.keras",
        "sma/last": "last_sma.keras",
    }
    for row, file in files.items():
        model = keras.saving.load_model(finished / name / file, compile=False)
        scores = [score(predict_logits(model, part.images), part.labels) for part in parts]
        assert np.mean([s.accuracy for s in scores]) == rows[row]["source_accuracy"], row


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_leaves_codes_exact(
    domain_set: DomainSet, tmp_path: Path, precision: str
) -> None:
    settings = TrainSettings(**{**vars(SETTINGS), "mixed_precision": precision})
    (variant,) = parse_variants(("qtdog5",))
    make_trial(domain_set, tmp_path, settings).run([variant])
    model = keras.saving.load_model(
        tmp_path / "line-trial0" / "qtdog5" / "last.keras", compile=False
    )
    for wrapper in quantize_wrappers(model):
        for weight, quantizer, variables in wrapper.quantized_weights:
            assert weight.dtype == "float32" and variables["step_size"].dtype == "float32"
            codes = quantizer.codes(weight, variables).numpy()
            assert codes.min() >= -16 and codes.max() <= 15 and len(np.unique(codes)) > 4
