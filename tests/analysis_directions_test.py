"""Random directions: lengths, filter norms, seeds; and running means against NumPy."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from qtdog_tf.analysis.directions import (
    RunningMean,
    direction,
    filter_axes,
    filter_normalized,
    gaussian,
    norm,
)
from qtdog_tf.analysis.weights import dequantize, learned_weights
from qtdog_tf.quantization import quantize, start_quantization

SHAPES = [(3, 3, 2, 4), (4,), (3, 3, 4, 1), (6, 2), ()]
AXES = [(-1,), (), (-2, -1), (-1,), ()]


def weights(seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(np.float32) for shape in SHAPES]


@pytest.mark.parametrize("kind", ["raw", "filter"])
def test_directions_have_length_1_and_follow_from_seed_and_number(kind):
    w = weights()
    first = direction(w, AXES, kind, 5, 0)
    assert [d.shape for d in first] == SHAPES
    assert all(d.dtype == np.float32 for d in first)
    again, next_one, reseeded = (direction(w, AXES, kind, *key) for key in ((5, 0), (5, 1), (6, 0)))
    assert norm(first) == pytest.approx(1, abs=1e-6)
    for ours, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(ours, same)
    for other in (next_one, reseeded):
        # In many dimensions two directions are nearly orthogonal.
        cosine = sum(np.vdot(a, b) for a, b in zip(first, other, strict=True))
        assert abs(cosine) < 0.3


def test_raw_directions_do_not_look_at_the_weights():
    drawn = gaussian(SHAPES, 7, 3)
    for other in (weights(0), [0 * w for w in weights(1)]):
        for ours, wanted in zip(direction(other, AXES, "raw", 7, 3), drawn, strict=True):
            np.testing.assert_allclose(ours, wanted / norm(drawn), rtol=1e-6)


def test_raw_directions_are_gaussian_over_all_parameters():
    parts = gaussian([(50, 40), (3000,)], 0, 0)
    flat = np.concatenate([part.ravel() for part in parts])
    assert len(np.unique(flat)) == len(flat) == 5000
    assert abs(flat.mean()) < 4 / np.sqrt(5000)
    assert abs(flat.var() - 1) < 4 * np.sqrt(2 / 5000)


def filters(array, axes):
    """Its filters as rows, by another way than the code's."""
    axes = [axis % array.ndim for axis in axes]
    return np.moveaxis(array, axes, range(len(axes))).reshape(
        [int(np.prod([array.shape[axis] for axis in axes])), -1]
    )


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), zeros=st.booleans())
def test_each_filter_moves_by_the_same_part_of_its_norm(seed, zeros):
    w = weights(seed)
    if zeros:
        w[0][..., 1] = 0
        w[1][:] = 0
    raw, scaled = (direction(w, AXES, kind, seed, 0) for kind in ("raw", "filter"))
    length = norm(w)
    for weight, plain, move, axes in zip(w, raw, scaled, AXES, strict=True):
        rows = [filters(a.astype(np.float64), axes) for a in (weight, plain, move)]
        norms = [np.linalg.norm(row, axis=1) for row in rows]
        np.testing.assert_allclose(norms[2] * length, norms[0], rtol=1e-5, atol=1e-7)
        # It is the same Gaussian vector, stretched filter by filter.
        along = np.sum(rows[1] * rows[2], axis=1)
        np.testing.assert_allclose(along, norms[1] * norms[2], rtol=1e-5, atol=1e-9)


def test_a_filter_by_hand():
    move = np.array([[3.0, 1.0], [4.0, 0.0]])
    weight = np.array([[0.0, 7.0], [2.0, 0.0]])
    expected = [[1.2, 7.0], [1.6, 0.0]]
    np.testing.assert_allclose(filter_normalized(move, weight, (-1,)), expected)
    whole = np.sqrt(53 / 26) * move
    np.testing.assert_allclose(filter_normalized(move, weight, ()), whole)
    assert filter_normalized(np.array(-2.0), np.array(5.0), ()) == -5


def test_filters_of_each_kind_of_layer():
    image = keras.Input((8, 8, 4))
    x = layers.Conv2D(6, 3, name="conv")(image)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(x)
    x = layers.SeparableConv2D(5, 1, use_bias=False, name="separable")(x)
    x = layers.Reshape((16, 5))(x)
    x = layers.DepthwiseConv1D(3, use_bias=False, name="depthwise_1d")(x)
    x = layers.Dense(3, name="head")(layers.Flatten()(x))
    model = quantize(keras.Model(image, x))
    start_quantization(model)
    dequantize(model)
    expected = {
        "conv/kernel": (-1,),
        "conv/bias": (),
        "norm/gamma": (),
        "norm/beta": (),
        "depthwise/kernel": (-2, -1),
        "depthwise/bias": (),
        "separable/depthwise_kernel": (-2, -1),
        "separable/pointwise_kernel": (-1,),
        "depthwise_1d/kernel": (-2, -1),
        "head/kernel": (-1,),
        "head/bias": (),
    }
    names = [variable.path for variable in learned_weights(model)]
    assert dict(zip(names, filter_axes(model), strict=True)) == expected


def test_what_has_no_direction_is_refused():
    with pytest.raises(ValueError, match=r"\('raw', 'filter'\), received 'layer'"):
        direction(weights(), AXES, "layer", 0, 0)
    with pytest.raises(ValueError, match="all 0"):
        direction([0 * w for w in weights()], AXES, "filter", 0, 0)


values = st.floats(-1e3, 1e3, allow_subnormal=False)


@settings(max_examples=50)
@given(st.lists(st.lists(values, min_size=3, max_size=3), min_size=1, max_size=30), values)
def test_running_mean_and_error_are_numpys(rows, offset):
    rows = np.array(rows) + 1e3 * offset
    running = RunningMean()
    for n, row in enumerate(rows, 1):
        running.add(row)
        seen = rows[:n]
        scale = np.abs(seen).max() + 1e-300
        assert running.count == n
        np.testing.assert_allclose(running.mean, seen.mean(axis=0), rtol=1e-12, atol=1e-12 * scale)
        error = seen.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else [np.inf] * 3
        np.testing.assert_allclose(running.standard_error, error, rtol=1e-9, atol=1e-12 * scale)


def test_running_error_survives_a_large_mean():
    # The sum of squares minus the square of the sum would leave nothing of these.
    running = RunningMean()
    for value in (1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16):
        running.add(np.array([value]))
    np.testing.assert_allclose(running.mean, 1e9 + 10)
    np.testing.assert_allclose(running.standard_error, np.sqrt(30 / 4), rtol=1e-12)
