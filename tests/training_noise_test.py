"""Variants with noise: forked, resumed and straight runs are the same; their models are float."""

from pathlib import Path

import keras
import numpy as np
import pytest

from qtdog_tf.data.domains import DomainSet
from qtdog_tf.evaluation.saved_model import load_saved_model
from qtdog_tf.files import read_json
from qtdog_tf.quantization import UniformNoiseQuantizer, quantize_wrappers
from qtdog_tf.training.callbacks import StartQuantization
from qtdog_tf.training.evaluation import predict_logits, score
from qtdog_tf.training.model import build_training_model
from qtdog_tf.training.run_settings import RunSettings
from qtdog_tf.training.variant_quantizers import quantizer_of
from qtdog_tf.training.variants import parse_variants
from tests.trials import (
    SETTINGS,
    assert_same_run,
    make_trial,
    run_with_a_break,
    validation_parts,
    weights_of,
)

VARIANTS = parse_variants(("noise3", "uniform2e-2", "qtdog5", "erm"))


@pytest.fixture(scope="module")
def finished(domain_set: DomainSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs")
    make_trial(domain_set, output).run(VARIANTS)
    return output / "line-trial0"


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_fork_equals_a_straight_fit(
    domain_set: DomainSet, finished: Path, tmp_path: Path, number: int
) -> None:
    """Also for what comes after noise in one process, which shares the model with it."""
    variant = VARIANTS[number]
    trial = make_trial(domain_set, tmp_path)
    model = build_training_model(
        SETTINGS,
        len(domain_set.classes),
        bits=variant.bits if variant.quantized else 7,
        seed=trial.data.seed,
    )
    start = StartQuantization(
        SETTINGS.quantize_step,
        variant.wrapper_mode,
        quantizer_of(variant, SETTINGS, trial.data.seed),
    )
    batches = trial.data.batches().between(0, SETTINGS.steps)
    model.fit(batches, verbose=0, shuffle=False, callbacks=[start])
    forked = weights_of(finished / variant.name / "last.keras")
    for mine, theirs in zip(model.get_weights(), forked, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_interrupted_run_resumes_to_the_same_bits(
    domain_set: DomainSet, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every_step = RunSettings(checkpoint_every=1)
    run_with_a_break(domain_set, tmp_path, VARIANTS[:1], 10, monkeypatch, every_step)
    assert_same_run(tmp_path / "line-trial0" / "noise3", finished / "noise3")


@pytest.mark.parametrize("name", ["noise3", "uniform2e-2"])
def test_models_and_records_are_those_of_a_float_run(
    domain_set: DomainSet, finished: Path, tmp_path: Path, name: str
) -> None:
    summary = read_json(finished / name / "summary.json")
    assert summary["variant"] == {"name": name, "mode": "noise", "bits": 32}
    assert summary["bytes"] == summary["float_bytes"]
    assert all(not row["quantized"] and row["step"] >= 6 for row in summary["rows"].values())
    parts = validation_parts(make_trial(domain_set, tmp_path))
    for row, file in (
        ("raw/source_validation", "selected.keras"),
        ("sma/last", "last_sma.keras"),
    ):
        model = load_saved_model(finished / name / file)
        assert {wrapper.mode for wrapper in quantize_wrappers(model)} == {"off"}
        scores = [score(predict_logits(model, part.images), part.labels) for part in parts]
        assert np.mean([s.accuracy for s in scores]) == summary["rows"][row]["source_accuracy"]
    erm = keras.saving.load_model(finished / "erm" / "last.keras", compile=False)
    pairs = zip(model.weights, erm.weights, strict=True)
    assert any(np.any(mine.numpy() != theirs.numpy()) for mine, theirs in pairs)


def test_noise_is_drawn_by_seed_member_layer_and_the_optimizers_count() -> None:
    model = build_training_model(SETTINGS, 3, bits=7, seed=0)
    own = quantize_wrappers(model)[0].quantize_config.quantizer
    seeds = set()
    for name in ("noise3", "noise3_m1", "uniform2e-2"):
        (variant,) = parse_variants((name,))
        for seed in (0, 1):
            make = quantizer_of(variant, SETTINGS, seed)
            assert make is not None
            quantizer = make(model, 2, own)
            assert isinstance(quantizer, UniformNoiseQuantizer)
            assert quantizer.step is model.optimizer.iterations and quantizer.layer == 2
            expected = (7, 2e-2) if name == "uniform2e-2" else (3, None)
            assert (quantizer.bits, quantizer.amplitude) == expected
            seeds.add(quantizer.seed)
    # Both kinds of noise draw the same numbers: they differ in their size only.
    assert len(seeds) == 4
