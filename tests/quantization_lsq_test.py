"""The arithmetic of LSQ against hand-worked numbers, NumPy in double precision, and autodiff."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from qtdog_tf.quantization import lsq
from qtdog_tf.quantization.lsq import CodeRange

# Shapes of the kernels that are quantized, with the axes that have step sizes of their own.
CONV = ((3, 3, 5, 4), (-1,))
DEPTHWISE = ((3, 3, 6, 2), (-2, -1))
DENSE = ((40, 5), (-1,))
PER_LAYER = ((3, 3, 5, 4), ())
KERNELS = pytest.mark.parametrize(("shape", "axes"), [CONV, DEPTHWISE, DENSE, PER_LAYER])
BITS = pytest.mark.parametrize("bits", range(2, 9))
NARROW = pytest.mark.parametrize("narrow", [False, True])


def random_case(shape, axes, code_range, seed=0):
    """A kernel of which about a third is clipped, its step sizes, and an upstream gradient."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=shape).astype("float32")
    size = lsq.step_size_shape(shape, axes)
    step_size = (rng.uniform(0.7, 1.3, size) / code_range.q_max).astype("float32")
    return weight, step_size, rng.normal(size=shape).astype("float32")


def run(function, weight, step_size, upstream):
    """Value and both gradients of a function of (weight, step size)."""
    weight, step_size = tf.constant(weight), tf.constant(step_size)
    with tf.GradientTape() as tape:
        tape.watch([weight, step_size])
        value = function(weight, step_size)
    gradients = tape.gradient(value, [weight, step_size], output_gradients=tf.constant(upstream))
    return [tensor.numpy() for tensor in (value, *gradients)]


def reference(weight, step_size, upstream, code_range, axes, grad_scale):
    """The definition (method 2.1, 2.2), written once more, in double precision."""
    below, above = code_range.q_min, code_range.q_max
    # The codes hang on the single-precision quotient; all else is double.
    position = (weight / step_size).astype("float64")
    code = np.rint(np.minimum(np.maximum(position, below), above))
    slope = np.select([position < below, position > above], [below, above], code - position)
    inside = (position >= below) & (position <= above)
    shared = tuple(i for i in range(weight.ndim) if i not in [axis % weight.ndim for axis in axes])
    step_gradient = grad_scale * np.sum(upstream * slope, axis=shared, keepdims=True)
    return step_size * code, np.where(inside, upstream, 0.0), step_gradient


def straight_through(weight, step_size, code_range, grad_scale):
    """LSQ as its authors compose it: stop_gradient around the rounding and the gradient scale."""
    scaled = step_size * grad_scale
    scaled = scaled + tf.stop_gradient(step_size - scaled)
    clipped = tf.clip_by_value(weight / scaled, code_range.q_min, code_range.q_max)
    return (clipped + tf.stop_gradient(tf.round(clipped) - clipped)) * scaled


def test_hand_worked_numbers():
    # 3 bits: -4..3. Positions: -6 | -4 | -0.52 | 0.5 | 1.5 | 3 | 3.48, of which two are outside.
    weight = np.array([[-3.0], [-2.0], [-0.26], [0.25], [0.75], [1.5], [1.74]], "float32")
    upstream = np.arange(1, 8, dtype="float32")[:, None]
    value, weight_gradient, step_gradient = run(
        lambda w, s: lsq.fake_quantize(w, s, CodeRange(3), grad_scale=0.5),
        weight,
        np.array([[0.5]], "float32"),
        upstream,
    )
    assert value.ravel().tolist() == [-2.0, -2.0, -0.5, 0.0, 1.0, 1.5, 1.5]
    assert weight_gradient.ravel().tolist() == [0, 2, 3, 4, 5, 6, 0]
    # 1 * -4 + 2 * 0 + 3 * -0.48 + 4 * -0.5 + 5 * 0.5 + 6 * 0 + 7 * 3 = 16.06, times 0.5.
    np.testing.assert_allclose(step_gradient, [[8.03]], rtol=1e-6)


def test_example_in_the_docstring():
    weight = tf.constant([[-1.0, 0.26, 9.0]])
    value = lsq.fake_quantize(weight, tf.constant([[0.5, 0.5, 0.5]]), CodeRange(3))
    assert value.numpy().tolist() == [[-1.0, 0.5, 1.5]]


@BITS
@NARROW
@KERNELS
def test_value_and_gradients_match_the_definition(bits, narrow, shape, axes):
    code_range = CodeRange(bits, narrow)
    weight, step_size, upstream = random_case(shape, axes, code_range)
    scale = lsq.gradient_scale(shape, code_range, axes)
    actual = run(
        lambda w, s: lsq.fake_quantize(w, s, code_range, axes, scale), weight, step_size, upstream
    )
    expected = reference(weight, step_size, upstream, code_range, axes, scale)
    assert 0.1 < np.mean(expected[1] == 0) < 0.6, "the case must have clipped values"
    np.testing.assert_allclose(actual[0], expected[0], rtol=1e-7)
    np.testing.assert_array_equal(actual[1], expected[1])
    np.testing.assert_allclose(actual[2], expected[2], rtol=1e-5, atol=1e-6)
    assert actual[2].shape == lsq.step_size_shape(shape, axes)


@BITS
@NARROW
@KERNELS
def test_closed_form_equals_autodiff_of_the_straight_through_form(bits, narrow, shape, axes):
    code_range = CodeRange(bits, narrow)
    weight, step_size, upstream = random_case(shape, axes, code_range, seed=bits)
    actual = run(
        lambda w, s: lsq.fake_quantize(w, s, code_range, axes, 0.1), weight, step_size, upstream
    )
    composed = run(
        lambda w, s: straight_through(w, s, code_range, 0.1), weight, step_size, upstream
    )
    for ours, theirs in zip(actual, composed, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("bits", [2, 7, 8])
def test_compiled_by_xla_it_computes_the_same_codes(bits):
    code_range = CodeRange(bits)
    weight, step_size, upstream = random_case((9, 9, 64, 32), (-1,), code_range)

    def quantize(w, s):
        return lsq.fake_quantize(w, s, code_range, (-1,))

    plain = run(quantize, weight, step_size, upstream)
    jitted = run(tf.function(quantize, jit_compile=True), weight, step_size, upstream)
    np.testing.assert_array_equal(jitted[0], plain[0])
    np.testing.assert_array_equal(jitted[1], plain[1])
    # Sums of 5184 products of up to q_max each, in another order.
    np.testing.assert_allclose(jitted[2], plain[2], rtol=1e-4, atol=1e-4 * code_range.q_max)


@pytest.mark.parametrize(
    ("bits", "narrow", "q_min", "q_max"),
    [(2, None, -2, 1), (2, True, -1, 1), (7, None, -64, 63), (7, True, -63, 63), (4, False, -8, 7),
     (8, None, -127, 127), (8, False, -128, 127)],
)  # fmt: skip
def test_code_range(bits, narrow, q_min, q_max):
    code_range = CodeRange(bits, narrow)
    assert (code_range.q_min, code_range.q_max) == (q_min, q_max)


@pytest.mark.parametrize("bits", [1, 9, 0, -7, 7.0, "7", None, True])
def test_bits_outside_2_to_8_are_refused(bits):
    with pytest.raises(ValueError, match=r"bits must be an integer from 2 to 8, received"):
        CodeRange(bits)


def test_step_size_shapes():
    assert lsq.step_size_shape((3, 3, 64, 128), (-1,)) == (1, 1, 1, 128)
    assert lsq.step_size_shape((3, 3, 64, 2), (-2, -1)) == (1, 1, 64, 2)
    assert lsq.step_size_shape((64, 10), (1,)) == (1, 10)
    assert lsq.step_size_shape((3, 3, 64, 128), ()) == (1, 1, 1, 1)


def test_initial_step_size():
    weight = tf.constant([[1.0, 0.0, -0.5], [-3.0, 0.0, 0.5]])
    mean = lsq.initial_step_size(weight, CodeRange(7), (-1,))
    np.testing.assert_allclose(mean, [[4 / 63**0.5, 1e-8, 1 / 63**0.5]], rtol=1e-6)
    largest = lsq.initial_step_size(weight, CodeRange(7), (-1,), "max")
    np.testing.assert_allclose(largest, [[3 / 63, 1e-8, 0.5 / 63]], rtol=1e-6)
    layer = lsq.initial_step_size(weight, CodeRange(7), ())
    np.testing.assert_allclose(layer, [[2 * (5 / 6) / 63**0.5]], rtol=1e-6)
    half = lsq.initial_step_size(tf.cast(weight, tf.bfloat16), CodeRange(7), (-1,))
    assert half.dtype == tf.float32
    with pytest.raises(ValueError, match="'mean', 'max'.*received 'median'"):
        lsq.initial_step_size(weight, CodeRange(7), (-1,), "median")


@BITS
def test_max_rule_clips_nothing(bits):
    code_range = CodeRange(bits)
    weight, *_ = random_case(*CONV, code_range)
    step_size = lsq.initial_step_size(tf.constant(weight), code_range, (-1,), "max").numpy()
    quantized = lsq.fake_quantize(tf.constant(weight), tf.constant(step_size), code_range).numpy()
    assert np.all(np.abs(quantized - weight) <= step_size / 2 * (1 + 1e-5))


@pytest.mark.parametrize(
    ("bits", "relative_step", "noise", "clipped"),
    [(8, 0.142, 0.041, 0), (7, 0.201, 0.058, 0), (6, 0.287, 0.083, 0), (5, 0.412, 0.119, 0),
     (4, 0.603, 0.174, 1e-5), (3, 0.921, 0.267, 0.003), (2, 1.596, 0.470, 0.056)],
)  # fmt: skip
def test_noise_on_gaussian_weights_is_the_specified_one(bits, relative_step, noise, clipped):
    # The table of method 2.4: the noise is what regularises, so a port must inject as much of it.
    weight = tf.constant(np.random.default_rng(0).normal(size=(400_000, 1)).astype("float32"))
    code_range = CodeRange(bits, narrow_range=False)
    step_size = lsq.initial_step_size(weight, code_range, (-1,))
    position = (weight / step_size).numpy()
    error = lsq.fake_quantize(weight, step_size, code_range).numpy() - weight.numpy()
    outside = (position < code_range.q_min) | (position > code_range.q_max)
    assert float(step_size[0, 0]) == pytest.approx(relative_step, rel=4e-3)
    assert error.std() == pytest.approx(noise, abs=1e-3)
    assert np.mean(outside) == pytest.approx(clipped, abs=1e-3)


def test_gradient_scale():
    shape, three_bits = (3, 3, 2, 4), CodeRange(3)
    assert lsq.gradient_scale(shape, three_bits, (-1,)) == pytest.approx(1 / math.sqrt(72 * 3))
    assert lsq.gradient_scale(shape, three_bits, ()) == pytest.approx(1 / math.sqrt(72 * 3))
    scale = lsq.gradient_scale(shape, three_bits, (-1,), "channel")
    assert scale == pytest.approx(1 / math.sqrt(18 * 3))
    scale = lsq.gradient_scale(shape, three_bits, (-2, -1), "channel")
    assert scale == pytest.approx(1 / math.sqrt(9 * 3))
    assert lsq.gradient_scale(shape, three_bits, (-1,), "none") == 1.0
    with pytest.raises(ValueError, match="received 'layer'"):
        lsq.gradient_scale(shape, three_bits, (-1,), "layer")


def test_codes_come_from_one_division():
    # Weights half-way between two codes, where w / s and w * (1 / s) fall on different sides.
    step_size = np.random.default_rng(0).uniform(0.001, 0.01, (1, 999)).astype("float32")
    weight = ((np.arange(-60, 60)[:, None] + 0.5) * step_size).astype("float32")
    expected = np.rint(weight / step_size)
    np.testing.assert_array_equal(codes(weight, step_size, CodeRange(7)), expected)
    by_reciprocal = np.rint(weight * (np.float32(1) / step_size))
    assert np.mean(by_reciprocal != expected) > 0.01, "the test must see it"


def test_codes_are_computed_in_float32():
    weight = tf.cast(tf.linspace(-1.0, 1.0, 300)[:, None], tf.bfloat16)
    step_size = np.array([[0.00801]], "float32")
    expected = np.rint(np.clip(weight.numpy().astype("float32") / step_size, -127, 127))
    np.testing.assert_array_equal(codes(weight, step_size, CodeRange(8)), expected)
    in_bfloat16 = tf.round(weight / tf.cast(step_size, tf.bfloat16)).numpy().astype("float32")
    assert np.mean(np.clip(in_bfloat16, -127, 127) != expected) > 0.1, "the test must see it"


code_ranges = st.builds(CodeRange, st.integers(2, 8), st.booleans())
step_sizes = npst.arrays(
    "float32", (1, 3), elements=st.floats(2**-10, 8.0, width=32, allow_subnormal=False)
)
weights = npst.arrays(
    "float32", (5, 3), elements=st.floats(-64.0, 64.0, width=32, allow_subnormal=False)
)
properties = settings(max_examples=60)


def quantized(weight, step_size, code_range):
    return lsq.fake_quantize(tf.constant(weight), tf.constant(step_size), code_range).numpy()


def codes(weight, step_size, code_range):
    return lsq.codes(tf.constant(weight), tf.constant(step_size), code_range).numpy()


@properties
@given(weights, step_sizes, code_ranges)
def test_quantizing_twice_changes_nothing(weight, step_size, code_range):
    once = quantized(weight, step_size, code_range)
    np.testing.assert_array_equal(quantized(once, step_size, code_range), once)


@properties
@given(weights, step_sizes, code_ranges)
def test_values_lie_on_the_lattice(weight, step_size, code_range):
    code = codes(weight, step_size, code_range)
    np.testing.assert_array_equal(code, np.rint(code))
    assert code.min() >= code_range.q_min
    assert code.max() <= code_range.q_max
    np.testing.assert_array_equal(quantized(weight, step_size, code_range), step_size * code)


@properties
@given(weights, step_sizes, code_ranges)
def test_error_is_at_most_half_a_step_inside_and_the_nearest_bound_outside(
    weight, step_size, code_range
):
    value = quantized(weight, step_size, code_range)
    low, high = step_size * code_range.q_min, step_size * code_range.q_max
    rounding = 1e-6 * np.abs(weight)
    inside = np.abs(value - weight) <= step_size / 2 + rounding
    np.testing.assert_array_equal((weight >= low) & (weight <= high) & ~inside, False)
    np.testing.assert_array_equal(np.where(weight > high, value, high), high + 0 * weight)
    np.testing.assert_array_equal(np.where(weight < low, value, low), low + 0 * weight)


@properties
@given(weights, step_sizes, st.integers(2, 8))
def test_narrow_range_is_odd(weight, step_size, bits):
    narrow = CodeRange(bits, narrow_range=True)
    np.testing.assert_array_equal(
        quantized(-weight, step_size, narrow), -quantized(weight, step_size, narrow)
    )


@properties
@given(weights, step_sizes, code_ranges, st.integers(-20, 20))
def test_codes_do_not_change_with_the_unit(weight, step_size, code_range, exponent):
    # Folding a BatchNorm whose scale is a power of two must not move a code.
    unit = np.float32(2.0**exponent)
    np.testing.assert_array_equal(
        codes(weight * unit, step_size * unit, code_range), codes(weight, step_size, code_range)
    )


@properties
@given(weights, step_sizes, code_ranges)
def test_codes_keep_the_order_of_weights(weight, step_size, code_range):
    ordered = np.sort(weight, axis=0)
    assert np.all(np.diff(codes(ordered, step_size, code_range), axis=0) >= 0)
