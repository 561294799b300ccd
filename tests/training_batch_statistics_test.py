"""BatchNorm's statistics under averaged weights, against NumPy and a second way to get them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from qtdog_tf.averaging import SimpleMovingAverage
from qtdog_tf.files import read_json
from qtdog_tf.models import build_classifier
from qtdog_tf.quantization.annotate import quantize
from qtdog_tf.quantization.start import start_quantization
from qtdog_tf.training import BatchStatistics, DomainEvaluation, KeepSelected, Part
from qtdog_tf.training.batch_statistics import learning_layers, measure_statistics
from qtdog_tf.training.evaluation import predict_logits, score
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

RNG = np.random.default_rng(0)
BATCHES = [RNG.normal(1, 2, (n, 6, 6, 2)).astype("float32") for n in (8, 8, 5)]
LABELS = [RNG.integers(0, 2, len(batch)) for batch in BATCHES]


def build(dropout=0.0):
    keras.utils.set_random_seed(3)
    image = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(3, 3, name="first")(image)
    x = keras.layers.BatchNormalization(name="norm1", momentum=0.9)(x)
    x = keras.layers.Conv2D(4, 2, activation="relu", name="second")(x)
    x = keras.layers.BatchNormalization(name="norm2")(x)
    x = keras.layers.Dropout(dropout, seed=1)(keras.layers.Flatten()(x))
    return keras.Model(image, keras.layers.Dense(2)(x))


def batch_norm(x, layer):
    """The layer's output by the batch's own statistics, and these, in float64."""
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    y = (x - mean) / np.sqrt(variance + layer.epsilon)
    return y * layer.gamma.numpy() + layer.beta.numpy(), mean, variance


def expected_statistics(model):
    """Means over batches of each batch's mean and variance, layer by layer."""
    found = []
    for batch in BATCHES:
        x = model.get_layer("first")(batch).numpy().astype("float64")
        y, *one = batch_norm(x, model.get_layer("norm1"))
        z = model.get_layer("second")(y.astype("float32")).numpy().astype("float64")
        _, *two = batch_norm(z, model.get_layer("norm2"))
        found.append([*one, *two])
    return [np.mean(values, axis=0) for values in zip(*found, strict=True)]


def statistics_of(model):
    return [
        variable.numpy()
        for layer in learning_layers(model)
        for variable in (layer.moving_mean, layer.moving_variance)
    ]


def test_they_are_the_means_over_batches_of_each_batch():
    model = build()
    expected = expected_statistics(model)
    measure_statistics(model, BATCHES)
    assert len(expected) == 4
    for ours, theirs in zip(statistics_of(model), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)
    # Whatever they were before does not count.
    for layer in learning_layers(model):
        layer.moving_mean.assign(np.full(layer.moving_mean.shape, 9.0))
    measure_statistics(model, BATCHES)
    for ours, theirs in zip(statistics_of(model), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)
    assert [layer.momentum for layer in learning_layers(model)] == [0.9, 0.99]


def test_everything_is_afterwards_what_it_was():
    model = build(dropout=0.5)
    before = [variable.numpy() for variable in model.variables]
    seeds = [v for v in model.variables if "seed" in v.path]
    assert seeds
    with BatchStatistics(lambda: BATCHES).measured(model):
        inside = [variable.numpy() for variable in model.variables]
        changed = [not np.array_equal(a, b) for a, b in zip(before, inside, strict=True)]
        assert sum(changed) == 4
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)

    def broken():
        yield BATCHES[0]
        raise InterruptedError("stop")

    with (
        pytest.raises(InterruptedError),
        BatchStatistics(broken).measured(model),
    ):
        raise AssertionError("not reached")
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert [layer.momentum for layer in learning_layers(model)] == [0.9, 0.99]


def test_frozen_statistics_are_left_alone():
    frozen = build_classifier("tiny", 2, image_size=8, weights=None)
    assert learning_layers(frozen) == []
    measure_statistics(frozen, [])
    with BatchStatistics(lambda: pytest.fail("not needed")).measured(frozen):
        pass
    learning = build_classifier("tiny", 2, image_size=8, weights=None, freeze_batch_norm=False)
    assert learning_layers(learning)
    with pytest.raises(ValueError, match="no batch"):
        measure_statistics(learning, [])
    learning.trainable = False
    assert learning_layers(learning) == []


def test_quantized_layers_are_measured_with_the_weights_that_they_compute_with():
    model = quantize(build(), bits=2)
    measure_statistics(model, BATCHES)
    float_statistics = statistics_of(model)
    start_quantization(model)
    measure_statistics(model, BATCHES)
    quantized = statistics_of(model)
    first = model.get_layer("quant_first")
    x = np.concatenate([first(b).numpy() for b in BATCHES[:2]])
    assert np.abs(quantized[0] - float_statistics[0]).max() > 1e-3
    measure_statistics(model, BATCHES[:2])
    np.testing.assert_allclose(statistics_of(model)[0], x.mean((0, 1, 2)), rtol=1e-4, atol=1e-5)


def test_averages_are_evaluated_and_kept_with_statistics_of_their_own():
    average = SimpleMovingAverage(1)
    model = build()
    average.build(model.trainable_variables)
    average.shadows[0].assign(2 * model.trainable_variables[0])
    images = tf.data.Dataset.from_tensor_slices(BATCHES[0]).batch(4)
    keeper = KeepSelected(average.name)
    part = Part("a", "source", "out", images, LABELS[0])
    seen = []
    evaluation = DomainEvaluation(
        [part],
        1,
        0,
        listeners=[keeper, lambda _, m: seen.append(statistics_of(m))],
        averages=[average],
        statistics=BatchStatistics(lambda: BATCHES),
    )
    model.compile()
    evaluation.set_model(model)
    before = statistics_of(model)
    evaluation.evaluate(0)
    as_trained, averaged = seen
    for ours, theirs in zip(as_trained, before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with average.applied():
        expected = expected_statistics(model)
    for ours, theirs in zip(averaged, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)
    kept = build()
    kept.set_weights(keeper.values)
    for ours, theirs in zip(statistics_of(kept), averaged, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(statistics_of(model), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_run_keeps_the_statistics_of_its_averages(domain_set, tmp_path, monkeypatch):
    """Evaluated, saved, and the same bits after a break; the weights as trained keep theirs."""
    more = {"freeze_batch_norm": False, "batch_norm_batches": 3, "eval_every": 7}
    settings = TrainSettings(**{**vars(SETTINGS), **more})
    variants = parse_variants(("qtdog5",))
    make_trial(domain_set, tmp_path / "a", settings).run(variants)
    run_with_a_break(domain_set, tmp_path / "b", variants, 9, monkeypatch, settings=settings)
    run, again = (tmp_path / name / "line-trial0" / "qtdog5" for name in "ab")
    assert_same_run(run, again)
    trial = make_trial(domain_set, tmp_path / "a", settings)
    batches = [inputs["image"] for inputs, _ in trial.data.batches().between(0, 3)]
    averaged, trained = (
        keras.saving.load_model(run / f"{name}.keras", compile=False)
        for name in ("last_sma", "last")
    )
    saved = statistics_of(averaged)
    measure_statistics(averaged, batches)
    assert learning_layers(averaged)
    for ours, theirs, others in zip(
        saved, statistics_of(averaged), statistics_of(trained), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
        assert np.abs(ours - others).max() > 1e-3
    row = read_json(run / "summary.json")["rows"]["sma/last"]
    averaged.set_weights(weights_of(run / "last_sma.keras"))
    parts = validation_parts(trial)
    scores = [score(predict_logits(averaged, part.images), part.labels) for part in parts]
    assert np.mean([s.accuracy for s in scores]) == row["source_accuracy"]
