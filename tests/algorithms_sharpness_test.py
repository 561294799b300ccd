"""SAM, SAGM and SAQAT on quantized weights: by hand, and against NumPy in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from qtdog_tf.algorithms import AlgorithmModel, Batch
from qtdog_tf.algorithms.sagm import SAGM
from qtdog_tf.algorithms.sam import SAM
from qtdog_tf.algorithms.saqat import SAQAT
from qtdog_tf.quantization.annotate import all_but, quantize
from qtdog_tf.quantization.quantizer import is_step_size
from qtdog_tf.quantization.start import start_quantization
from qtdog_tf.training.adam import Adam
from qtdog_tf.training.optimizer import QuantizationOptimizer

RNG = np.random.default_rng(4)


def build(algorithm, kernel, step_size, grad_scale="none"):
    """logits = images @ quantized kernel, at 3 bits: codes -4 to 3."""
    image = keras.Input((kernel.shape[0],))
    logits = keras.layers.Dense(kernel.shape[1], use_bias=False, name="head")(image)
    model = quantize(keras.Model(image, logits), all_but(), bits=3, grad_scale=grad_scale)
    model = AlgorithmModel(model.inputs, model.outputs, algorithm=algorithm)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(QuantizationOptimizer(Adam()), loss=loss, run_eagerly=True)
    model.optimizer.build(model.trainable_variables)
    start_quantization(model)
    for variable in model.variables:
        variable.assign(step_size if is_step_size(variable) else kernel)
    return model


def gradients(model, images, labels):
    """Of the kernel and of the step sizes; both variables stay what they are."""
    before = model.get_weights()
    batch = Batch(
        tf.constant(images, tf.float32), tf.constant(labels), tf.constant(0, dtype=tf.int64)
    )
    result = model.algorithm.gradients(model, batch)
    for mine, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    pairs = zip(model.trainable_variables, result.gradients, strict=True)
    found = {is_step_size(variable): np.array(gradient) for variable, gradient in pairs}
    return found[False], found[True][0], result


# One image of the one value 1, of class 0; weights 1.2 and -0.4, step sizes 1. Codes are 1 and 0,
# so the logits too, and the second class has the probability q = 1 / (1 + e) = 0.268941. Then
# dL/dw_q = (-q, q), which is dL/dw, of length q sqrt(2), and round(u) - u = (-0.2, 0.4).
#
# SAM with rho = sqrt(2) moves the weights by (-1, 1), to 0.2 and 0.6: codes 0 and 1, q' = 0.731059,
# round(u) - u = (-0.2, 0.4) again. Were the step sizes in |g| or moved, all would be otherwise.
#
# SAGM with alpha = 1 too moves them by (q - 1, 1 - q), to 0.468941 and 0.331059: codes 0 and 0,
# q' = 1/2, round(u) - u = (-0.468941, -0.331059). Its gradients are the means of both.
SIDE = 2**0.5
SAM_KERNEL, SAM_STEP = [-0.731059, 0.731059], [0.146212, 0.292423]
SAGM_KERNEL, SAGM_STEP = [-0.384471, 0.384471], [0.144130, -0.028976]


@pytest.mark.parametrize(
    ("algorithm", "kernel", "step_size"),
    [
        (SAM(SIDE), SAM_KERNEL, SAM_STEP),
        (SAGM(SIDE, 1.0), SAGM_KERNEL, SAGM_STEP),
        (SAQAT(SIDE, 1.0), SAGM_KERNEL, SAGM_STEP),
    ],
)
def test_by_hand(algorithm, kernel, step_size):
    model = build(algorithm, np.array([[1.2, -0.4]]), np.ones((1, 2)))
    ours = gradients(model, [[1.0]], [0])
    np.testing.assert_allclose(ours[0], [kernel], atol=2e-6)
    np.testing.assert_allclose(ours[1], step_size, atol=2e-6)
    assert float(ours[2].outcome.loss) == pytest.approx(np.log(1 + np.exp(-1)), rel=1e-6)


@pytest.mark.parametrize(
    ("mask", "frozen", "step_size"),
    [
        # Of the step size that is frozen only half of the second gradient is left: 0.468941 / 4.
        ("channel", [True, False], [0.117235, -0.028976]),
        ("channel", [False, True], [0.144130, -0.082765]),
        ("layer", [True], [0.117235, -0.082765]),
        ("layer", [False], SAGM_STEP),
    ],
)
def test_frozen_step_sizes_do_not_follow_the_task(mask, frozen, step_size):
    algorithm = SAQAT(SIDE, 1.0, mask=mask)
    model = build(algorithm, np.array([[1.2, -0.4]]), np.ones((1, 2)))
    algorithm.disorder[3].assign(frozen)
    ours = gradients(model, [[1.0]], [0])
    np.testing.assert_allclose(ours[0], [SAGM_KERNEL], atol=2e-6)
    np.testing.assert_allclose(ours[1], step_size, atol=2e-6)
    # Signs are those of the first pass, (0.053788, 0.107577), frozen or not.
    updates = [np.array(value) for _, value in ours[2].outcome.updates]
    np.testing.assert_array_equal(updates[1], np.ones(len(frozen)))
    assert algorithm.scalars == {"frozen": np.mean(frozen)}


def lsq_gradients(kernel, step_size, images, labels):
    """dL/dw and dL/ds by the closed form of LSQ (method, 2.2) with g = 1 / sqrt(N Q_P)."""
    position = kernel / step_size
    codes = np.round(np.clip(position, -4, 3))
    logits = images @ (step_size * codes)
    errors = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    errors[np.arange(len(labels)), labels] -= 1
    upstream = images.T @ errors / len(labels)
    inside = (position >= -4) & (position <= 3)
    slope = codes - np.where(inside, position, 0)
    return upstream * inside, (upstream * slope).sum(0) / np.sqrt(kernel.size * 3)


@pytest.mark.parametrize("name", ["sam", "sagm", "saqat"])
def test_against_numpy(name):
    kernel, step_size = RNG.normal(size=(6, 5)), RNG.uniform(0.1, 0.6, (1, 5))
    images, labels = RNG.normal(size=(8, 6)), RNG.integers(0, 5, 8)
    assert np.abs(kernel / step_size).max() > 4, "some weights are clipped"
    algorithm = {"sam": SAM(0.7), "sagm": SAGM(0.7, 0.3), "saqat": SAQAT(0.7, 0.3)}[name]
    model = build(algorithm, kernel, step_size, grad_scale="tensor")
    frozen = np.array([True, False, True, True, False])
    first, task = lsq_gradients(kernel, step_size, images, labels)
    factor = 0.7 / np.linalg.norm(first) - getattr(algorithm, "alpha", 0.0)
    second, smooth = lsq_gradients(kernel + factor * first, step_size, images, labels)
    if name == "saqat":
        algorithm.disorder[3].assign(frozen)
        task = np.where(frozen, 0, task)
    expected = (second, smooth)
    if name != "sam":
        expected = ((first + second) / 2, (task + smooth) / 2)
    ours = gradients(model, images, labels)
    np.testing.assert_allclose(ours[0], expected[0], atol=1e-6)
    np.testing.assert_allclose(ours[1], expected[1], atol=1e-6)
