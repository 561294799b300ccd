"""Curvature against full Hessians: closed forms, and Jacobians of gradients in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from qtdog_tf.analysis.hessian import HessianSettings, hessian, hutchinson, top_eigenvalue
from qtdog_tf.analysis.hessian_vector import HessianVector, pooled
from qtdog_tf.analysis.samples import Sample
from qtdog_tf.analysis.weights import learned_weights
from qtdog_tf.errors import UserError
from qtdog_tf.models.batch_norm import batch_norm
from qtdog_tf.models.depthwise import FastDepthwiseConv2D
from qtdog_tf.quantization import quantize, quantize_wrappers, start_quantization

CLASSES = 3
NETWORKS = ("softmax", "tanh", "relu", "lite")
# Sums of some thousand float32 products.
FLOAT32 = 2e-5


def sample(images, domain="a", role="source", part="in"):
    rng = np.random.default_rng(images)
    pixels = rng.integers(0, 256, (images, 6, 6, 3), np.uint8)
    labels = rng.integers(0, CLASSES, images, np.int32)
    return Sample(domain, role, part, tuple(f"{domain}{i}" for i in range(images)), pixels, labels)


def build(network, seed=1):
    """A network whose weights, BatchNorm's included, are none of the special ones."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    image = keras.Input((6, 6, 3))
    x = layers.Rescaling(1 / 64, -2.0)(image)
    if network in ("tanh", "relu"):
        x = layers.Activation(network)(layers.Conv2D(4, 3, 2, "same")(x))
    elif network == "lite":
        x = layers.Conv2D(4, 3, 2, "same", use_bias=False)(x)
        x = layers.ReLU(6)(batch_norm(frozen=True, epsilon=1e-3)(x))
        # Larger than the image: the kind whose gradient the project writes itself.
        x = FastDepthwiseConv2D(5, padding="same", use_bias=False)(x)
        x = layers.ReLU(6)(batch_norm(frozen=True, epsilon=1e-3)(x))
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, layers.Dense(CLASSES)(x))
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        low, high = (0.5, 2.0) if "variance" in variable.name else (-0.3, 0.3)
        variable.assign(variable + rng.uniform(low, high, variable.shape))
    return model


def forward(network, model, vector, pixels):
    """The same networks, from operations that have float64 kernels; `vector` are the weights."""
    shapes = [tuple(v.shape) for v in model.trainable_variables]
    parts = tf.split(vector, [int(np.prod(shape)) for shape in shapes])
    weights = [tf.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)]
    x = tf.constant(pixels / 64.0 - 2.0)
    if network in ("tanh", "relu"):
        x = tf.nn.conv2d(x, weights[0], 2, "SAME") + weights[1]
        x = tf.tanh(x) if network == "tanh" else tf.maximum(x, 0.0)
    elif network == "lite":
        moving = [tf.constant(v.numpy(), tf.float64) for v in model.non_trainable_variables]
        x = tf.nn.conv2d(x, weights[0], 2, "SAME")
        x = (x - moving[0]) * tf.math.rsqrt(moving[1] + 1e-3) * weights[1] + weights[2]
        x = tf.minimum(tf.maximum(x, 0.0), 6.0)
        x = tf.nn.depthwise_conv2d(x, weights[3], [1, 1, 1, 1], "SAME")
        x = (x - moving[2]) * tf.math.rsqrt(moving[3] + 1e-3) * weights[4] + weights[5]
        x = tf.minimum(tf.maximum(x, 0.0), 6.0)
    return tf.reduce_mean(x, [1, 2]) @ weights[-2] + weights[-1]


def flat(model):
    return np.concatenate([v.numpy().ravel() for v in model.trainable_variables]).astype("float64")


def gradient(network, model, one, vector):
    with tf.GradientTape() as tape:
        tape.watch(vector)
        logits = forward(network, model, vector, one.pixels)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(one.labels, logits)
        loss = tf.reduce_mean(losses)
    return loss, tape.gradient(loss, vector)


def full_hessian(network, model, one):
    """Loss, gradient and Hessian in float64."""
    vector = tf.constant(flat(model))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(vector)
        loss, slope = gradient(network, model, one, vector)
    matrix = tape.jacobian(slope, vector, experimental_use_pfor=False)
    return float(loss), slope.numpy(), matrix.numpy()


def by_differences(network, model, one, vector):
    """H v as the slope of the gradient, over a distance too small to meet a kink."""
    step = 1e-6
    ends = [flat(model) + sign * step * vector for sign in (1, -1)]
    above, below = (gradient(network, model, one, tf.constant(end))[1] for end in ends)
    return (above - below).numpy() / (2 * step)


@pytest.fixture(scope="module", params=NETWORKS)
def case(request):
    """A network, images, and what differentiation in float64 says."""
    model, one = build(request.param), sample(7)
    return request.param, model, one, *full_hessian(request.param, model, one)


def close(actual, expected):
    """Equal up to float32: relative to the largest, for sums that cancel have no relative error."""
    np.testing.assert_allclose(actual, expected, rtol=0, atol=FLOAT32 * np.abs(expected).max())


def test_the_reference_is_the_slope_of_the_gradient(case):
    network, model, one, _, _, matrix = case
    vector = np.random.default_rng(5).normal(size=len(matrix))
    expected = by_differences(network, model, one, vector)
    np.testing.assert_allclose(matrix @ vector, expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(matrix, matrix.T, rtol=0, atol=1e-12)


@pytest.mark.parametrize("batch_size", [3, 128])
def test_products_are_those_of_the_full_hessian(case, batch_size):
    network, model, one, _, slope, matrix = case
    product = HessianVector(model, learned_weights(model), one, batch_size)
    assert product.size == len(matrix)
    vector = np.random.default_rng(0).normal(size=product.size)
    measured = product(vector)
    assert measured.dtype == np.float64
    close(measured, matrix @ vector)
    assert product.along(vector) == pytest.approx(
        (slope @ vector, vector @ matrix @ vector), abs=FLOAT32 * product.size
    )
    # Weights that are assigned later count; nothing is remembered.
    head = model.trainable_variables[-1]
    before = head.numpy()
    head.assign(before + np.array([2, 0, -1], np.float32))
    try:
        close(product(vector), by_differences(network, model, one, vector))
    finally:
        head.assign(before)


def test_some_variables_have_a_block_of_the_hessian(case):
    _, model, one, _, _, matrix = case
    block = slice(len(matrix) - 9 - CLASSES, len(matrix) - CLASSES)
    if case[0] != "softmax":
        block = slice(len(matrix) - 4 * CLASSES - CLASSES, len(matrix) - CLASSES)
    kernel = model.trainable_variables[-2]
    product = HessianVector(model, [kernel], one)
    vector = np.arange(product.size, dtype=np.float64)
    close(product(vector), matrix[block, block] @ vector)


def test_softmax_regression_has_a_closed_form():
    # H = mean over images of x x' (x) (diag(p) - p p'), x with a 1 for the bias.
    model, one = build("softmax"), sample(9)
    x = np.mean(one.pixels / 64.0 - 2.0, axis=(1, 2))
    x = np.concatenate([x, np.ones((9, 1))], axis=1)
    kernel, bias = (v.numpy().astype("float64") for v in model.trainable_variables)
    p = np.exp(x @ np.concatenate([kernel, bias[np.newaxis]]))
    p /= p.sum(axis=1, keepdims=True)
    inner = p[:, :, np.newaxis] * np.eye(CLASSES) - p[:, :, np.newaxis] * p[:, np.newaxis]
    matrix = np.einsum("ni,nj,nab->iajb", x, x, inner).reshape(12, 12) / 9
    product = HessianVector(model, learned_weights(model), one, 4)
    close(np.stack([product(row) for row in np.eye(12)]), matrix)


LITE = build("lite", seed=3)
PRODUCT = HessianVector(LITE, learned_weights(LITE), sample(5))
numbers = st.floats(-4, 4, width=32)


@settings(max_examples=15)
@given(st.integers(0, 999), numbers, numbers)
def test_a_product_is_linear_and_symmetric(seed, a, b):
    u, v = np.random.default_rng(seed).normal(size=(2, PRODUCT.size))
    hu, hv = PRODUCT(u), PRODUCT(v)
    scale = np.abs([hu, hv]).max()
    np.testing.assert_allclose(
        PRODUCT(a * u + b * v),
        a * hu + b * hv,
        rtol=0,
        atol=FLOAT32 * scale * (1 + abs(a) + abs(b)),
    )
    assert u @ hv == pytest.approx(v @ hu, abs=FLOAT32 * scale * PRODUCT.size**0.5)


def test_hessian_against_all_eigenvalues(case):
    _, model, one, loss, _, matrix = case
    done = []
    result = hessian(model, [one], on_product=done.append)
    eigenvalues = np.linalg.eigvalsh(matrix)
    top, trace = result["top"], result["trace"]
    assert result["images"] == 7 and result["loss"] == pytest.approx(loss, rel=1e-6)
    assert top["converged"] and 0 <= top["residual"] <= 0.01
    assert top["value"] <= eigenvalues[-1] * (1 + FLOAT32)
    assert eigenvalues[-1] - top["value"] <= (top["residual"] + FLOAT32) * top["value"]
    assert abs(trace["mean"] - eigenvalues.sum()) <= 3 * trace["standard_error"]
    small = trace["standard_error"] <= 0.05 * trace["mean"]
    assert small or trace["probes"] == 50
    assert done == list(range(1, top["iterations"] + trace["probes"] + 1))


@pytest.mark.parametrize("mode", ["train", "frozen"])
def test_a_quantized_model_is_looked_at_on_its_lattice(mode):
    model, plain = quantize(build("lite"), bits=3), build("lite")
    start_quantization(model, mode)
    for wrapper in quantize_wrappers(model):
        [(weight, quantizer, variables)] = wrapper.quantized_weights
        kernel = next(v for v in plain.weights if tuple(v.shape) == tuple(weight.shape))
        np.testing.assert_array_equal(kernel, weight)
        kernel.assign(quantizer(weight, False, variables))
        assert np.any(kernel.numpy() != weight.numpy())
    samples, settings = [sample(4), sample(6, "b")], HessianSettings(max_probes=3, min_probes=3)
    expected, result = (hessian(m, samples, settings) for m in (plain, model))
    for key, value in expected.items():
        assert result[key] == pytest.approx(value, rel=1e-4)


def test_each_training_image_counts_the_same():
    samples = [sample(4), sample(6, "b"), sample(5, "b", part="out"), sample(9, "t", "target")]
    model, settings = build("tanh"), HessianSettings(max_iterations=4, max_probes=3, min_probes=2)
    one = pooled(samples[:2])
    assert one.domain == "a+b" and one.paths == samples[0].paths + samples[1].paths
    result = hessian(model, samples, settings)
    assert result["images"] == 10
    assert result == hessian(model, [one], settings)
    cut = hessian(model, samples, HessianSettings(images=6, max_iterations=1, max_probes=2))
    assert cut["images"] == 6 and not cut["top"]["converged"]


def test_no_training_image_and_diverged_weights_are_refused():
    with pytest.raises(UserError, match="no training image of a source domain"):
        hessian(build("tanh"), [sample(5, part="out"), sample(5, "t", "target", "all")])
    with pytest.raises(ValueError, match="needs images"):
        HessianVector(LITE, learned_weights(LITE), sample(0))
    model = build("tanh")
    model.trainable_variables[0].assign(np.full(model.trainable_variables[0].shape, np.nan))
    with pytest.raises(UserError, match="curvature of the loss is not finite"):
        hessian(model, [sample(5)])
    with pytest.raises(UserError, match="min_probes must be at least 2"):
        HessianSettings(min_probes=1)


def symmetric(eigenvalues, seed):
    size = len(eigenvalues)
    basis, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))
    return basis @ np.diag(eigenvalues) @ basis.T


@settings(max_examples=60)
@given(st.integers(0, 999), st.integers(1, 40), st.sampled_from([1e-1, 1e-3, 1e-8]))
def test_top_eigenvalue_of_random_matrices(seed, size, tolerance):
    eigenvalues = np.sort(np.random.default_rng(seed).normal(size=size))
    matrix = symmetric(eigenvalues, seed)
    found = top_eigenvalue(lambda v: matrix @ v, size, tolerance, max_iterations=size, seed=seed)
    assert found.iterations <= size
    assert found.value <= eigenvalues[-1] + 1e-12
    assert np.abs(eigenvalues - found.value).min() <= found.residual * abs(found.value) + 1e-12
    # As many products as dimensions leave nothing to find.
    assert found.converged and found.residual <= tolerance
    if tolerance < 1e-5:
        assert found.value == pytest.approx(eigenvalues[-1], rel=1e-6)


def test_top_eigenvalue_of_special_matrices():
    same = top_eigenvalue(lambda v: 3 * v, 10)
    assert same.value == pytest.approx(3) and same.iterations == 1 and same.converged
    zero = top_eigenvalue(lambda v: 0 * v, 10)
    assert (zero.value, zero.residual, zero.converged) == (0, 0, True)
    # A negative eigenvalue of larger magnitude, which power iteration would find.
    matrix = symmetric([-100.0, *np.linspace(-1, 1, 30), 5.0], seed=0)
    found = top_eigenvalue(lambda v: matrix @ v, 32)
    assert found.converged and found.value == pytest.approx(5, rel=1e-4)
    negative = top_eigenvalue(lambda v: matrix @ v - 10 * v, 32)
    assert negative.converged and negative.value == pytest.approx(-5, rel=1e-2)
    # Three distinct eigenvalues: three products, however large the matrix.
    steps = symmetric([1.0] * 50 + [2.0] * 40 + [7.0] * 10, seed=1)
    found = top_eigenvalue(lambda v: steps @ v, 100, tolerance=1e-6)
    assert found.iterations == 3 and found.value == pytest.approx(7, rel=1e-9)
    # Stopped early it says so.
    wide = symmetric(np.linspace(0, 1, 200), seed=2)
    found = top_eigenvalue(lambda v: wide @ v, 200, tolerance=1e-6, max_iterations=8)
    assert not found.converged and found.iterations == 8 and found.residual > 1e-6
    assert 0.9 < found.value <= 1


def test_trace_of_a_diagonal_matrix_is_exact():
    diagonal, probes = np.arange(-3.0, 9.0), []

    def curvature(signs):
        assert set(np.abs(signs)) == {1.0}
        probes.append(tuple(signs))
        return signs @ (diagonal * signs)

    found = hutchinson(curvature, 12)
    assert (found.mean, found.standard_error, found.probes) == (diagonal.sum(), 0, 5)
    assert len(set(probes)) == 5
    assert hutchinson(lambda z: 0.0, 12).probes == 5


def test_trace_has_the_error_that_theory_gives():
    matrix = symmetric(np.random.default_rng(0).uniform(0, 1, 30), seed=4)
    beside = matrix - np.diag(np.diag(matrix))
    found = hutchinson(lambda z: z @ matrix @ z, 30, tolerance=0, probes=(2, 2000))
    assert found.probes == 2000
    # Of Rademacher probes the variance is 2 sum_(i != j) H_ij^2. A sample's standard deviation is
    # right to 1 / sqrt(2 * 2000) = 1.6 % for Gaussian numbers: three times that.
    expected = np.sqrt(2 * np.sum(beside**2) / 2000)
    assert found.standard_error == pytest.approx(expected, rel=0.05)
    assert abs(found.mean - np.trace(matrix)) <= 3 * expected
    few = hutchinson(lambda z: z @ matrix @ z, 30, tolerance=0.02, seed=1)
    assert few.probes < 50 and few.standard_error <= 0.02 * few.mean
