"""Calibration and selective accuracy against loops and numbers worked by hand."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtdog_tf.analysis.calibration import (
    BATCH_SIZE,
    calibration,
    sample_calibration,
    selective_accuracy,
)
from qtdog_tf.analysis.samples import Sample
from qtdog_tf.ensemble import EnsembleAverage
from qtdog_tf.errors import UserError
from qtdog_tf.training.confidence import confidences, reliability


def logits_of(*rows: tuple[float, ...]) -> np.ndarray:
    return np.log(np.array(rows, np.float32))


def loop(logits: np.ndarray, labels: np.ndarray) -> tuple[float, list[int]]:
    """The paper's definition, image by image: ECE, and how many images each bin has."""
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(15)]
    for z, label in zip(logits.astype(np.float64), labels, strict=True):
        probabilities = [np.exp(v) / sum(np.exp(u) for u in z) for v in z]
        sure = max(probabilities)
        (b,) = (b for b in range(15) if b / 15 < sure <= (b + 1) / 15)
        bins[b].append((sure, probabilities.index(sure) == label))
    error = 0.0
    for members in filter(None, bins):
        accuracy = sum(right for _, right in members) / len(members)
        confidence = sum(sure for sure, _ in members) / len(members)
        error += len(members) / len(labels) * abs(accuracy - confidence)
    return error, [len(members) for members in bins]


@settings(max_examples=50)
@given(
    n=st.integers(1, 40),
    classes=st.integers(2, 6),
    spread=st.sampled_from([0.1, 1.0, 5.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_against_a_loop(n: int, classes: int, spread: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, spread, (n, classes)).astype(np.float32)
    labels = generator.integers(0, classes, n)
    found = sample_calibration(logits, labels)
    error, counts = loop(logits, labels)
    assert found["ece"] == pytest.approx(error, abs=1e-12)
    assert [b["images"] for b in found["reliability"]] == counts
    # The order of the images, or the same added to all logits of one, is all the same.
    order = generator.permutation(n)
    moved = logits[order].astype(np.float64) + generator.normal(0, 100, (n, 1))
    again = sample_calibration(moved, labels[order])
    for name in ("accuracy", "loss", "ece", "confidence"):
        assert again[name] == pytest.approx(found[name], abs=1e-9), name


def test_by_hand() -> None:
    logits = logits_of((0.56, 0.44), (0.58, 0.42), (0.1, 0.9), (0.95, 0.05))
    labels = np.array([0, 1, 1, 1])
    found = sample_calibration(logits, labels)
    assert found["images"] == 4 and found["accuracy"] == 0.5
    assert found["loss"] == pytest.approx(-np.log([0.56, 0.42, 0.9, 0.05]).mean())
    assert found["confidence"] == pytest.approx((0.56 + 0.58 + 0.9 + 0.95) / 4)
    # The first two share a bin, (8/15, 9/15]: 1/2 against 0.57; then 1 against 0.9, 0 against 0.95.
    assert found["ece"] == pytest.approx((2 * 0.07 + 0.1 + 0.95) / 4)
    full = [b for b in found["reliability"] if b["images"]]
    assert [(b["images"], b["accuracy"]) for b in full] == [(2, 0.5), (1, 1.0), (1, 0.0)]
    assert [b["confidence"] for b in full] == pytest.approx([0.57, 0.9, 0.95])
    assert [b["low"] for b in full] == pytest.approx([8 / 15, 13 / 15, 14 / 15])
    empty = {"low": 0.0, "high": 1 / 15, "images": 0, "accuracy": None, "confidence": None}
    assert found["reliability"][0] == empty
    assert len(found["reliability"]) == 15 and found["reliability"][-1]["high"] == 1.0


def test_bins_are_open_below_and_closed_above() -> None:
    edges = np.arange(1, 16) / 15
    assert reliability(edges, np.ones(15, bool)).images.tolist() == [1] * 15
    above = np.nextafter(edges[:-1], 2)
    assert reliability(above, np.ones(14, bool)).images.tolist() == [0] + [1] * 14


def test_confidence_does_not_overflow() -> None:
    logits = np.array([[1e4, 0.0, -1e4], [1.0, 1.0, 1.0], [-1e30, -1e30, -1e30]], np.float32)
    np.testing.assert_allclose(confidences(logits), [1, 1 / 3, 1 / 3], rtol=1e-15)
    # Of a model that diverged nothing is known; that must not pass for a small error.
    sure = confidences(np.array([[np.nan, 0.0], [3.0, 0.0]]))
    assert np.isnan(reliability(sure, np.array([True, True])).error)


def test_no_image_has_no_error() -> None:
    assert np.isnan(reliability(np.zeros(0), np.zeros(0, bool)).error)


def test_selective_accuracy_by_hand() -> None:
    # By confidence: right, right, wrong (a tie of two: the first comes first), right, wrong, ...
    sure = np.array([0.3, 0.9, 0.5, 0.5, 0.8, 0.2, 0.4])
    right = np.array([False, True, False, True, True, True, False])
    ordered = [True, True, False, True, False, False, True]
    images = {1.0: 7, 0.9: 7, 0.8: 6, 0.7: 5, 0.6: 5, 0.5: 4, 0.4: 3, 0.3: 3, 0.2: 2, 0.1: 1}
    expected = [
        {"coverage": coverage, "accuracy": sum(ordered[:n]) / n} for coverage, n in images.items()
    ]
    assert selective_accuracy(sure, right) == expected
    # Seven tenths of ten are seven, although 10 * 0.7 is a little more in binary.
    ten = selective_accuracy(np.arange(10, 0, -1), np.arange(10) < 7)
    assert ten[3] == {"coverage": 0.7, "accuracy": 1.0}


class CountsTraces(keras.layers.Layer):
    """Passes on what it gets, and counts how often Python runs it."""

    traces = 0

    def call(self, inputs):
        self.traces += 1
        return inputs


def sample(domain: str, role: str, part: str, pixels: np.ndarray, labels: list[int]) -> Sample:
    paths = tuple(f"{domain}/{i}.png" for i in range(len(labels)))
    return Sample(domain, role, part, paths, pixels, np.array(labels, np.int32))


def images(rows: list[tuple[int, int, int]]) -> np.ndarray:
    """Images of one pixel, whose colours are the logits."""
    return np.array(rows, np.uint8).reshape(-1, 1, 1, 3)


def model_of_colours() -> tuple[keras.Model, CountsTraces]:
    image = keras.Input((1, 1, 3))
    counts = CountsTraces()
    model = keras.Model(image, counts(keras.layers.Flatten()(image)))
    counts.traces = 0
    return model, counts


def test_of_a_model() -> None:
    model, counts = model_of_colours()
    # Class 0 five times, twice right; class 1 four times, never right: too few to count.
    rows = [(9, 0, 0)] * 2 + [(0, 9, 0)] * 3 + [(9, 0, 0)] * 4
    samples = [
        sample("flat", "source", "in", images([(0, 0, 9)] * 5), [0] * 5),
        sample("flat", "source", "out", images([(2, 0, 0)] * 6 + [(0, 2, 0)]), [0] * 6 + [1]),
        sample("line", "target", "all", images(rows), [0] * 5 + [1] * 4),
    ]
    found = calibration(model, samples, ("face", "hand", "vehicle"))
    assert counts.traces == 1
    assert found["bins"] == 15
    assert found["worst"] == {"domain": "line", "class": "face", "accuracy": 0.4, "images": 5}
    best = {"domain": "flat", "class": "face", "accuracy": 1.0, "images": 6}
    assert found["worst_source"] == best
    for one, of in zip(found["domains"], samples, strict=True):
        logits = of.pixels.reshape(-1, 3).astype(np.float32)
        where = {"domain": of.domain, "role": of.role, "part": of.part}
        assert one == {**where, **sample_calibration(logits, of.labels)}
    assert calibration(model, samples)["worst"]["class"] == 0


@pytest.mark.parametrize("n", [1, BATCH_SIZE, BATCH_SIZE + 1, 3 * BATCH_SIZE])
def test_batches_are_put_together_in_order_by_one_function(n: int) -> None:
    model, counts = model_of_colours()
    pixels = np.random.default_rng(n).integers(0, 9, (n, 1, 1, 3)).astype(np.uint8)
    samples = [sample("a", "new", "all", pixels[:i], [0] * i) for i in (n, 1, n)]
    found = calibration(model, samples)
    assert counts.traces == 1
    expected = sample_calibration(pixels.reshape(n, 3).astype(np.float32), samples[0].labels)
    assert {name: found["domains"][2][name] for name in expected} == expected
    assert found["worst"] is None and found["worst_source"] is None


def test_an_ensemble_of_probabilities_is_as_sure_as_their_mean() -> None:
    one, other = logits_of((0.9, 0.1)), logits_of((0.2, 0.8))
    average = np.asarray(EnsembleAverage("probabilities")([one, other]))
    assert confidences(average) == pytest.approx([0.55])


def test_logits_that_are_no_numbers_are_refused() -> None:
    model, _ = model_of_colours()
    broken = keras.Model(model.input, model.output * np.inf)
    samples = [sample("line", "target", "all", images([(1, 2, 0)]), [0])]
    with pytest.raises(UserError, match="not finite on line: it has diverged"):
        calibration(broken, samples)
