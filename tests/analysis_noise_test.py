"""Quantization noise against the method's figures, exact distributions and simulation."""

import json
import math
import statistics

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from keras import layers

from qtdog_tf.analysis.rounding_noise import (
    BINS,
    histogram,
    kl_of_uniform_sample,
    kl_to_uniform,
    noise,
    symmetry,
)
from qtdog_tf.models import build_classifier
from qtdog_tf.quantization import quantize, quantize_wrappers, start_quantization

SIZE = 3 * 3 * 512 * 256


def gaussian_layer(bits, per_channel=False, scales=1.0, image=8):
    """A layer with 1.2 million Gaussian weights of deviation 1, at its initial step size."""
    shape = (3, 3, 512, 256)
    model = keras.Sequential([keras.Input((image, image, 512)), layers.Conv2D(256, 3, name="c")])
    model = quantize(model, bits=bits, narrow_range=False, per_channel=per_channel)
    [wrapper] = quantize_wrappers(model)
    rng = np.random.default_rng(0)
    wrapper.quantized_weights[0][0].assign(scales * rng.standard_normal(shape, np.float32))
    start_quantization(model)
    return model


def step_size(model):
    return quantize_wrappers(model)[0].quantized_weights[0][2]["step_size"].numpy()


NORMAL = statistics.NormalDist()


def cells(bits, s):
    """Each code with the weights that get it, from low to high."""
    codes = np.arange(-(2 ** (bits - 1)), 2 ** (bits - 1))
    between = (codes[1:] - 0.5) * s
    return list(zip(codes, [-math.inf, *between], [*between, math.inf], strict=True))


def at_most(t, bits, s):
    """P(d <= t) of the noise d = s code - w of a standard normal weight w."""
    parts = [
        NORMAL.cdf(high) - NORMAL.cdf(max(low, code * s - t)) for code, low, high in cells(bits, s)
    ]
    return sum(max(0.0, part) for part in parts)


def moments(bits, s):
    """Means of d / s and (d / s)^2 of a standard normal weight, whose own mean is 0."""
    first = second = 0.0
    for code, low, high in cells(bits, s):
        chance = NORMAL.cdf(high) - NORMAL.cdf(low)
        weight = (math.exp(-(low**2) / 2) - math.exp(-(high**2) / 2)) / math.sqrt(2 * math.pi)
        first += code * chance
        second += code**2 * chance - 2 * code * weight / s
    return first, second + 1 / s**2


def exact_kl(bits, s, low, high):
    """KL of the noise in bins from `low` to `high`, and the deviation of log(p / q) under p."""
    edges = np.linspace(low, high, BINS + 1)[1:-1]
    p = np.diff([0, *(at_most(edge, bits, s) for edge in edges), 1])
    p = p[p > 1e-15]
    logs = np.log(p * BINS)
    return np.sum(p * logs), np.sqrt(np.sum(p * logs**2) - np.sum(p * logs) ** 2)


@pytest.mark.parametrize(
    ("bits", "figure"), [(2, 1.1), (3, 1.2), (4, 0.36), (5, 1e-5), (6, 1e-5), (7, 1e-5), (8, 1e-5)]
)
def test_kl_of_gaussian_weights_is_the_methods_figure(bits, figure):
    # Method 7.4. At few bits the most extreme weights stretch the range, so the figure is one of
    # many that chance could give. It is among the middle 98 % of samples of two million.
    s = 2 * math.sqrt(2 / math.pi) / math.sqrt(2 ** (bits - 1) - 1)

    def kl(size, chance):
        extreme = NORMAL.inv_cdf(chance ** (1 / size))  # of the largest of so many
        clipped = (2 ** (bits - 1) - 1) * s - extreme, extreme - 2 ** (bits - 1) * s
        low, high = min(clipped[0], -s / 2), max(clipped[1], s / 2)
        return exact_kl(bits, s, low, high)[0] + 49 / (2 * size)

    assert kl(2_000_000, 0.01) - 5e-6 <= figure <= kl(2_000_000, 0.99) + 1e-6
    # So is what the analysis finds.
    [row] = noise(gaussian_layer(bits))["layers"]
    chance = 3 * 9.9 / (2 * SIZE)
    assert kl(SIZE, 0.01) - chance <= row["kl"] <= kl(SIZE, 0.99) + chance


@pytest.mark.parametrize("bits", range(2, 9))
def test_gaussian_weights_against_their_exact_distribution(bits):
    model = gaussian_layer(bits)
    result = noise(model)
    [row] = result["layers"]
    assert (row["name"], row["weights"], row["bits"]) == ("c", SIZE, bits)
    s = float(step_size(model).item())
    edges = row["histogram"]["edges"]

    # 2 n KL is chi-square with 49 degrees of freedom (mean 49, deviation 9.9) about the exact one,
    # and the mean of log(p) over n weights is normal: six deviations of both.
    exact, deviation = exact_kl(bits, s, edges[0], edges[-1])
    chance = 49 / (2 * SIZE)
    limit = 6 * (9.9 / (2 * SIZE) + deviation / np.sqrt(SIZE))
    assert row["kl"] == pytest.approx(exact + chance, abs=limit)
    assert row["kl_uniform_sample"] == pytest.approx(chance, rel=0.01)
    assert result["kl_uniform_sample"] == row["kl_uniform_sample"]

    # The same six deviations, of the mean of d / s and of its square (whose kurtosis is below 9).
    bias, square = moments(bits, s)
    assert row["bias"] == pytest.approx(bias, abs=6 * np.sqrt(square / SIZE))
    assert row["rms_ratio"] ** 2 == pytest.approx(12 * square, rel=6 * np.sqrt(8 / SIZE))
    # Method 2.4, to the digits that it has.
    rms = {8: 0.041, 7: 0.058, 6: 0.083, 5: 0.119, 4: 0.174, 3: 0.267, 2: 0.470}[bits]
    assert row["rms_ratio"] * s / math.sqrt(12) == pytest.approx(rms, abs=1e-3)
    clipped = NORMAL.cdf(-(2 ** (bits - 1)) * s) + NORMAL.cdf(-(2 ** (bits - 1) - 1) * s)
    assert row["clipped"] == pytest.approx(clipped, abs=6 * np.sqrt(clipped / SIZE))
    assert clipped == pytest.approx({4: 1e-5, 3: 0.003, 2: 0.056}.get(bits, 0), abs=5e-4)
    assert json.loads(json.dumps(result)) == result


def test_step_sizes_of_different_width_do_not_mix_in_steps():
    scales = np.linspace(0.2, 2.0, 256, dtype="float32")
    [row] = noise(gaussian_layer(7, per_channel=True, scales=scales))["layers"]
    # d is a mixture of uniform distributions of widths s_c: density at t is the mean of
    # [t < s_c / 2] / s_c.
    s = scales.astype("float64") * 2 * math.sqrt(2 / math.pi) / math.sqrt(63)
    middle = (np.array(row["histogram"]["edges"])[1:] + row["histogram"]["edges"][:-1]) / 2
    density = np.mean((np.abs(middle[:, np.newaxis]) < s / 2) / s, axis=1)
    p = density / density.sum()
    expected = np.sum(p * np.log(p * BINS))
    # 4608 weights a channel say their mean magnitude, and with it s, to 1 %.
    assert expected > 0.1 and row["kl"] == pytest.approx(expected, rel=0.02)
    # In steps it is uniform. Its square's mean has a relative deviation of sqrt(0.8 / n).
    assert row["kl_in_steps"] == pytest.approx(49 / (2 * SIZE), abs=6 * 9.9 / (2 * SIZE))
    assert row["rms_ratio"] ** 2 == pytest.approx(1, abs=6 * np.sqrt(0.8 / SIZE))
    # The histogram is a density, symmetric about 0.
    heights, edges = np.array(row["histogram"]["density"]), np.array(row["histogram"]["edges"])
    assert np.sum(heights * np.diff(edges)) == pytest.approx(1)
    assert edges.shape == (51,) and heights.shape == (50,)
    lower, upper = row["symmetry"]["lower"], row["symmetry"]["upper"]
    assert len(lower) == len(upper) == 100
    np.testing.assert_allclose(lower, upper, atol=0.01 * s.max())
    assert upper[-1] == pytest.approx(s.max() / 2, rel=0.02)


def test_noise_by_hand():
    image = keras.Input((4, 4, 1))
    conv = layers.Conv2D(2, (1, 4), use_bias=False, name="conv")(image)
    model = quantize(keras.Model(image, conv), bits=3)
    start_quantization(model)
    [(weight, _, variables)] = quantize_wrappers(model)[0].quantized_weights
    # In steps: -4.6, 0.25, 1.5, 3.2 | -4, 3, 0.75, 0; codes -4, 0, 2, 3 | -4, 3, 1, 0.
    positions = np.array([[-4.6, 0.25, 1.5, 3.2], [-4, 3, 0.75, 0]])
    steps = np.array([0.5, 2.0])
    weight.assign((positions.T * steps).reshape(1, 4, 1, 2))
    variables["step_size"].assign(steps.reshape(1, 1, 1, 2))
    before = weight.numpy()
    [row] = noise(model)["layers"]
    in_steps = np.array([[0.6, -0.25, 0.5, -0.2], [0, 0, 0.25, 0]])
    d = np.sort((in_steps * steps[:, np.newaxis]).ravel())  # -.125 -.1 0 0 0 .25 .3 .5
    assert row["clipped"] == 2 / 8
    assert row["bias"] == pytest.approx(in_steps.mean(), rel=1e-6)
    assert row["rms_ratio"] == pytest.approx(np.sqrt(12 * np.mean(in_steps**2)), rel=1e-6)
    edges = row["histogram"]["edges"]
    assert (edges[0], edges[-1]) == pytest.approx((d[0], d[-1]))
    assert row["kl"] == pytest.approx(5 / 8 * np.log(50 / 8) + 3 / 8 * np.log(3 * 50 / 8))
    # -0.25, 0.5 and 0.25, and 0 three times: the first and the sixth are clipped.
    assert row["kl_inside"] == pytest.approx(3 / 6 * np.log(50 / 6) + 3 / 6 * np.log(3 * 50 / 6))
    assert row["symmetry"]["lower"] == pytest.approx([0, 0, 0.1, 0.125], abs=1e-6)
    assert row["symmetry"]["upper"] == pytest.approx([0, 0.25, 0.3, 0.5], abs=1e-6)
    np.testing.assert_array_equal(weight, before)


def test_noise_of_a_model_and_of_a_float_one():
    model = quantize(build_classifier("tiny", 3, image_size=16, weights=None), bits=7)
    assert noise(model) == {"layers": []}
    start_quantization(model, "frozen")
    result = noise(model)
    names = ["stem_conv", "block_depthwise", "block_project_conv", "top_conv"]
    assert result["bins"] == 50 and [row["name"] for row in result["layers"]] == names
    chances = sorted(row["kl_uniform_sample"] for row in result["layers"])
    assert result["kl_uniform_sample"] == pytest.approx(np.mean(chances[1:3]))
    for row in result["layers"]:
        # 64 to 216 weights look no more uniform than as many uniform numbers.
        assert 0.3 * row["kl_uniform_sample"] < row["kl_in_steps"] < 3 * row["kl_uniform_sample"]


def test_no_noise_at_all():
    model = quantize(keras.Sequential([keras.Input((2, 2, 1)), layers.Conv2D(1, 2)]), bits=4)
    start_quantization(model)
    [(weight, _, variables)] = quantize_wrappers(model)[0].quantized_weights
    weight.assign(np.reshape([1.0, 2, -3, 0], weight.shape))
    variables["step_size"].assign(np.ones((1, 1, 1, 1)))
    [row] = noise(model)["layers"]
    assert (row["kl"], row["rms_ratio"], row["bias"], row["clipped"]) == (0, 0, 0, 0)
    assert row["histogram"] == {"edges": [0.0] * 51, "density": [0.0] * 50}
    assert row["symmetry"] == {"lower": [0, 0], "upper": [0, 0]}


def test_kl_of_known_histograms():
    assert kl_to_uniform(np.full(50, 3)) == pytest.approx(0, abs=1e-15)
    assert kl_to_uniform(np.array([5, 0])) == pytest.approx(math.log(2))
    assert kl_to_uniform(np.array([1, 3, 0, 0])) == pytest.approx(
        0.25 * math.log(1) + 0.75 * math.log(3)
    )
    counts, edges = histogram(np.array([0.0, 0.1, 0.5, 1.0]), 2)
    assert counts.tolist() == [2, 2] and edges.tolist() == [0, 0.5, 1]


@pytest.mark.parametrize(("size", "bins"), [(2, 50), (3, 50), (10, 4), (60, 50), (400, 50)])
def test_chance_against_simulation(size, bins):
    rng = np.random.default_rng(size)
    found = [kl_to_uniform(histogram(rng.uniform(size=size), bins)[0]) for _ in range(4000)]
    error = np.std(found) / np.sqrt(len(found))
    assert kl_of_uniform_sample(size, bins) == pytest.approx(np.mean(found), abs=4 * error + 1e-12)


def test_chance_of_few_and_of_many():
    assert kl_of_uniform_sample(1) == 0
    assert kl_of_uniform_sample(2) == pytest.approx(math.log(25))
    # The next term of the expansion is of the order of bins / size.
    for size in (10**5, 10**6, 3 * 10**6):
        assert kl_of_uniform_sample(size) == pytest.approx(49 / (2 * size), rel=50 * 50 / size)


arrays = npst.arrays(
    "float64", st.integers(2, 60), elements=st.floats(-8, 8, allow_subnormal=False)
)


@settings(max_examples=60)
@given(arrays, st.floats(0.1, 10))
def test_kl_is_not_negative_and_has_no_unit(values, unit):
    counts, edges = histogram(values)
    assert counts.sum() == pytest.approx(len(values))
    assert (edges[0], edges[-1]) == (values.min(), values.max())
    assert -1e-12 <= kl_to_uniform(counts) <= math.log(BINS) + 1e-12
    assert kl_to_uniform(np.random.default_rng(0).permutation(counts)) == pytest.approx(
        kl_to_uniform(counts)
    )


@settings(max_examples=60)
@given(arrays)
def test_symmetry_of_any_values(values):
    panel = symmetry(values, points=7)
    lower, upper = panel["lower"], panel["upper"]
    assert len(lower) == len(upper) == min(7, len(values) // 2)
    for distances in (lower, upper):
        assert min(distances) >= 0 and distances == sorted(distances)
    assert lower[-1] == pytest.approx(np.median(values) - values.min())
    assert upper[-1] == pytest.approx(values.max() - np.median(values))
    mirrored = symmetry(-values, points=7)
    assert mirrored["lower"] == pytest.approx(upper) and mirrored["upper"] == pytest.approx(lower)


def test_one_value_has_no_halves():
    assert symmetry(np.array([3.0])) == {"lower": [], "upper": []}
