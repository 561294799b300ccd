"""Folders of averaged weights (DiWA): what is in them, how they are measured, what is refused."""

from pathlib import Path

import numpy as np
import pytest

from qtdog_tf.averaging.uniform import initialization_fingerprint
from qtdog_tf.data import open_domains
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation import (
    Run,
    choose_images,
    ensemble_table,
    evaluate_run,
    make_ensemble,
    open_run,
)
from qtdog_tf.models import build_classifier
from qtdog_tf.quantization import quantize, quantize_wrappers, start_quantization
from qtdog_tf.quantization.quantizer import is_step_size
from qtdog_tf.training.model import build_training_model, derive_seed
from qtdog_tf.training.settings import TrainSettings
from tests.untrained_runs import SIZE, make_run

SAME = {"initialization": "0" * 64, "algorithm": "erm"}
ERM = {"name": "erm", "mode": "off", "bits": 32}


@pytest.fixture(scope="module")
def floats(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    root = tmp_path_factory.mktemp("floats")
    return [make_run(root / str(seed), data, seed, variant=ERM, **SAME) for seed in range(2)]


@pytest.fixture(scope="module")
def quantized(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Runs whose models were trained apart from one state at step K."""
    root, runs = tmp_path_factory.mktemp("quantized"), []
    for seed in range(2):
        runs.append(make_run(root / str(seed), data, seed, **SAME))
        model = quantize(build_classifier("tiny", 3, image_size=SIZE, weights=None), bits=7)
        start_quantization(model)
        rng = np.random.default_rng(seed)
        for variable in model.trainable_variables:
            scale = 0.1 if is_step_size(variable) else 1.0
            variable.assign(variable * (1 + scale * rng.uniform(0, 0.5, variable.shape)))
        model.save(runs[-1].path / "selected_sma.keras")
    return runs


def test_the_average_is_measured_beside_its_members(
    floats: list[Run], data: Path, tmp_path: Path
) -> None:
    output = tmp_path / "diwa"
    summary = make_ensemble(floats, output, average="weights")
    assert {path.name for path in output.iterdir()} == {
        *("ensemble.json", "run.json", "selected_sma.keras", "summary.json"),
    }
    assert (summary["variant"]["name"], summary["algorithm"]) == ("diwa", "erm")
    average = open_run(output)
    weights = [run.load_model("selected_sma").get_weights() for run in (average, *floats)]
    for mean, *values in zip(*weights, strict=True):
        np.testing.assert_allclose(mean, np.mean(values, axis=0), rtol=1e-5, atol=1e-7)

    domain_set = open_domains(str(data))
    labels = domain_set.domain("line").labels
    for name, run in zip(("m0", "m1", "ensemble"), [*floats, average], strict=True):
        (predicted,) = evaluate_run(run, "selected_sma", choose_images(run, domain_set, ("line",)))
        right = predicted.logits.argmax(axis=1) == labels
        scores = summary["figures"][name]["domains"]["line"]["all"]
        assert (scores["accuracy"], scores["images"]) == (pytest.approx(right.mean()), 30)
    assert summary["rows"]["sma/source_validation"]["target_all"] == pytest.approx(right.mean())
    assert summary["bytes"] == summary["figures"]["m0"]["bytes"]
    rows = [line.split() for line in ensemble_table([summary]).splitlines()]
    assert rows[5][1:5] == ["average,", "weights", "diwa", "32"]
    assert make_ensemble(floats, output, average="weights") == summary
    with pytest.raises(UserError, match="average: 'logits' / 'weights'"):
        make_ensemble(floats, output)


def test_a_quantized_average_has_exact_codes(quantized: list[Run], tmp_path: Path) -> None:
    summary = make_ensemble(quantized, tmp_path / "diwa", average="weights", evaluate=False)
    assert summary["variant"] == {"name": "diwa_qtdog7", "mode": "train", "bits": 7}
    assert summary["bytes"] == summary["figures"]["m0"]["bytes"]
    models = [run.load_model("selected_sma") for run in (open_run(tmp_path / "diwa"), *quantized)]
    wrappers = [quantize_wrappers(model) for model in models]
    assert len(wrappers[0]) == 4
    for layers in zip(*wrappers, strict=True):
        ((weight, quantizer, variables), *members) = (w.quantized_weights[0] for w in layers)
        step_size = variables["step_size"].numpy()
        for found, values in (
            (weight, [member[0] for member in members]),
            (step_size, [member[2]["step_size"] for member in members]),
        ):
            expected = np.mean(np.asarray(values, np.float64), axis=0).astype(np.float32)
            np.testing.assert_array_equal(found, expected)
        codes = np.rint(weight.numpy() / step_size).clip(-64, 63)
        np.testing.assert_array_equal(quantizer(weight, False, variables), codes * step_size)
        assert len(np.unique(codes)) > 10


def test_runs_that_began_apart_are_refused(
    floats: list[Run], quantized: list[Run], data: Path, tmp_path: Path
) -> None:
    output = tmp_path / "diwa"
    old = make_run(tmp_path / "old", data, variant=ERM)
    with pytest.raises(UserError, match=r"old does not say with which weights .* train it again"):
        make_ensemble([floats[0], old], output, average="weights")
    other = make_run(tmp_path / "other", data, variant=ERM, initialization="1" * 64)
    with pytest.raises(UserError, match=r"/1 cannot|/other cannot be averaged.*--shared_init"):
        make_ensemble([*floats, other], output, average="weights")
    with pytest.raises(UserError, match="is quantizable|not quantizable|layers"):
        make_ensemble([floats[0], quantized[0]], output, average="weights")
    assert not output.exists()


def test_trials_begin_alike_if_they_are_to() -> None:
    def fingerprint(trial_seed: int, shared: bool) -> str:
        settings = TrainSettings(
            backbone="tiny", weights="none", image_size=8, shared_initialization=shared
        )
        seed = derive_seed(settings.seed, trial_seed)
        return initialization_fingerprint(build_training_model(settings, 3, bits=7, seed=seed))

    assert fingerprint(0, True) == fingerprint(1, True) != fingerprint(1, False)
