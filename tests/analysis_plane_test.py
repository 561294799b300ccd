"""The loss plane: its geometry, and losses against NumPy in float64."""

import json

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtdog_tf.analysis.loss import RoleLoss
from qtdog_tf.analysis.plane import PlaneSettings, grid_axis, loss_plane, span_plane
from qtdog_tf.analysis.samples import Sample
from qtdog_tf.errors import UserError
from qtdog_tf.models import build_classifier
from qtdog_tf.quantization import quantize, start_quantization

LABELS = ("ERM", "SWAD", "QT-DoG")


def sample(domain, images, role="source", part="in", size=2):
    rng = np.random.default_rng(sum(domain.encode()))
    pixels = rng.integers(0, 256, (images, size, size, 3), np.uint8)
    labels = rng.integers(0, 3, images, np.int32)
    return Sample(domain, role, part, ("",) * images, pixels, labels)


SAMPLES = [sample("a", 8), sample("b", 5), sample("t", 7, "target", "all")]


def build(seed):
    """Softmax regression."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((2, 2, 3))
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 128, -1.0)(image))
    return keras.Model(image, keras.layers.Dense(3, bias_initializer="normal", name="head")(x))


def vector(model):
    return np.concatenate([np.float64(v.numpy()).ravel() for v in model.trainable_variables])


def losses(w):
    """Of source and target, for softmax regression with these weights."""
    means = {}
    for part in SAMPLES:
        flat = part.pixels.reshape(len(part.pixels), -1) / 128.0 - 1.0
        logits = flat @ w[:36].reshape(12, 3) + w[36:]
        own = logits[np.arange(len(logits)), part.labels]
        mean = np.mean(np.log(np.exp(logits).sum(axis=1)) - own)
        means.setdefault(part.role, []).append(mean)
    return [np.mean(means[role]) for role in ("source", "target")]


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32), size=st.integers(2, 200), stretch=st.floats(0.01, 100))
def test_a_plane_holds_its_three_points(seed, size, stretch):
    vectors = np.random.default_rng(seed).normal(size=(3, size))
    vectors[2] *= stretch
    plane = span_plane(vectors, LABELS)
    np.testing.assert_allclose(plane.axes @ plane.axes.T, np.eye(2), atol=1e-9)
    (x1, y1), (_, y2), (_, y3) = plane.points
    assert x1 == y1 == y2 == 0
    assert y3 > 0
    scale = np.abs(vectors).max()
    for place, wanted in zip(plane.points, vectors, strict=True):
        np.testing.assert_allclose(plane.at(*place), wanted, rtol=1e-9, atol=1e-9 * scale)
    # Distances on the plane are distances of weights.
    for i, j in ((0, 1), (0, 2), (1, 2)):
        distance = np.linalg.norm(vectors[i] - vectors[j])
        assert np.linalg.norm(plane.points[i] - plane.points[j]) == pytest.approx(distance)


def test_a_plane_by_hand():
    plane = span_plane([[1, 0, 0], [1, 0, 2], [4, 0, -1]], LABELS)
    np.testing.assert_allclose(plane.points, [[0, 0], [2, 0], [-1, 3]])
    np.testing.assert_allclose(plane.axes, [[0, 0, 1], [1, 0, 0]])


def test_points_on_a_line_are_refused():
    a, b = np.random.default_rng(0).normal(size=(2, 50)).astype(np.float32)
    for three in (
        (a, a, b),
        (a, b, a),
        (b, a, a),
        (a, a, a),
        (a, b, (a + b) / 2),
        (a, b, 2 * b - a),
    ):
        with pytest.raises(UserError, match=r"ERM, SWAD, QT-DoG lie on a line"):
            span_plane(three, LABELS)


@pytest.mark.parametrize(
    ("margin", "resolution", "places"), [(0.6, 15, 33), (0, 2, 2), (0.2, 5, 7), (0.35, 10, 17)]
)
def test_the_grid_of_an_axis(margin, resolution, places):
    axis = grid_axis(np.array([0.0, 4.0, 1.0]), PlaneSettings(margin, resolution))
    assert len(axis) == places
    assert axis[0] == pytest.approx(-4 * margin)
    assert axis[-1] == pytest.approx(4 + 4 * margin)
    np.testing.assert_allclose(np.diff(axis), (4 + 8 * margin) / (places - 1))
    # A third point beyond the other two is on the picture too.
    assert grid_axis(np.array([0.0, 4.0, -2.0]), PlaneSettings(0.5, 4))[[0, -1]].tolist() == [-5, 7]


@pytest.mark.parametrize(("margin", "resolution"), [(-0.1, 15), (0, 1.9), (0.6, 0)])
def test_a_grid_without_places_is_refused(margin, resolution):
    with pytest.raises(UserError, match="must be at least"):
        PlaneSettings(margin, resolution)


def test_losses_are_those_of_numpy():
    models, told = [build(seed) for seed in range(3)], []
    vectors = [vector(model) for model in models]
    result = loss_plane(models, LABELS, SAMPLES, PlaneSettings(0.5, 2), on_point=told.append)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["images"] == 20
    assert told == list(range(1, 17))
    assert [grid["role"] for grid in result["grids"]] == ["source", "target"]
    plane = span_plane(vectors, LABELS)
    assert [point["label"] for point in result["points"]] == list(LABELS)
    found = [[point["x"], point["y"]] for point in result["points"]]
    np.testing.assert_allclose(found, plane.points)
    expected = [[losses(plane.at(x, y)) for x in result["x"]] for y in result["y"]]
    measured = [grid["loss"] for grid in result["grids"]]
    np.testing.assert_allclose(np.moveaxis(measured, 0, 2), expected, rtol=1e-5)
    assert np.shape(measured) == (2, 4, 4)


def quantized(seed, bits=None):
    """A convolutional model with frozen BatchNorm; a float one without bits."""
    model = build_classifier("tiny", 3, image_size=16, weights=None, seed=seed)
    if bits is None:
        return model
    model = quantize(model, bits=bits)
    start_quantization(model)
    return model


def test_the_three_models_have_their_own_losses():
    samples = [sample("a", 6, size=16), sample("t", 4, "target", "all", size=16)]
    models = [quantized(0), quantized(1, bits=3), quantized(2, bits=3)]
    own = [RoleLoss(model, samples)() for model in models]
    # Without a margin the corners are the first two; the third is where its x is 0.
    first, second, third = ([v.numpy() for v in m.trainable_variables] for m in models)
    result = loss_plane(models, LABELS, samples, PlaneSettings(0, 2))
    assert len(first) < len(second) == len(third)  # step sizes are no learned weights
    for role in range(2):
        grid = np.array(result["grids"][role]["loss"])
        column = result["x"].index(result["points"][0]["x"])
        assert grid[0, column] == pytest.approx(own[0][role], rel=1e-6)
        column = result["x"].index(result["points"][1]["x"])
        assert grid[0, column] == pytest.approx(own[1][role], rel=1e-5)
    # The order of the models is a matter of coordinates only.
    models = [quantized(1, bits=3), quantized(2, bits=3), quantized(0)]
    result = loss_plane(models, LABELS, samples, PlaneSettings(0, 2))
    grid = np.array(result["grids"][0]["loss"])
    column = result["x"].index(result["points"][1]["x"])
    assert grid[0, column] == pytest.approx(own[2][0], rel=1e-5)


def test_step_sizes_of_frozen_layers_do_not_matter():
    models = []
    for seed in range(3):
        model = quantized(seed)
        model.get_layer("stem_conv").kernel.assign(quantized(0).get_layer("stem_conv").kernel)
        model.get_layer("stem_conv").trainable = False
        models.append(model if seed == 0 else quantize(model))
    assert len(models[0].non_trainable_variables) < len(models[1].non_trainable_variables)
    samples = [sample("a", 3, size=16)]
    result = loss_plane(models, LABELS, samples, PlaneSettings(0, 2))
    assert np.isfinite(result["grids"][0]["loss"]).all()


def test_images_are_limited_by_role():
    models = [build(seed) for seed in range(3)]
    result = loss_plane(models, LABELS, SAMPLES, PlaneSettings(0, 2, images=6))
    assert result["images"] == 3 + 3 + 6


def test_models_that_do_not_fit_are_refused():
    statistics = quantized(1)
    statistics.get_layer("stem_bn").moving_mean.assign(np.full(8, 0.01))
    deeper = build_classifier("tiny", 4, image_size=16, weights=None)
    for third, message in (
        (statistics, "QT-DoG differs from ERM in what is not learned, such as BatchNorm"),
        (deeper, "QT-DoG has other weights than ERM, by names or shapes"),
        (build(0), "QT-DoG has other weights than ERM, by names or shapes"),
    ):
        with pytest.raises(UserError, match=message):
            loss_plane([quantized(0), quantized(2, bits=7), third], LABELS, [])
    with pytest.raises(ValueError, match="3 models and labels, received 2"):
        loss_plane([build(0), build(1)], LABELS, SAMPLES)


def test_a_loss_that_is_no_number_is_refused():
    models = [build(seed) for seed in range(3)]
    models[1].get_layer("head").kernel.assign(np.full((12, 3), np.nan))
    with pytest.raises(UserError, match="is not finite: give a smaller margin"):
        loss_plane(models, LABELS, SAMPLES, PlaneSettings(0, 2))
