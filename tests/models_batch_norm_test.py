"""The frozen batch norm against its formula in float64, and its gradients against closed forms."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from qtdog_tf.models import FrozenBatchNormalization

SHAPES = [(4, 5, 6, 3), (7, 3), (2, 5, 3)]


def _layer(shape: tuple[int, ...], **kwargs: Any) -> tuple[keras.Layer, list[np.ndarray]]:
    """A layer with random vectors, and the vectors: gamma, beta, mean, variance."""
    rng = np.random.default_rng(0)
    channels = shape[-1]
    vectors = [rng.normal(1, 0.5, channels) for _ in range(3)] + [rng.uniform(0.1, 4, channels)]
    layer = FrozenBatchNormalization(**kwargs)
    layer.build(shape)
    layer.set_weights(vectors)
    return layer, [np.float32(v).astype(np.float64) for v in vectors]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("training", [True, False, None])
def test_output_is_the_formula(shape: tuple[int, ...], training: bool | None) -> None:
    layer, (gamma, beta, mean, variance) = _layer(shape, epsilon=1e-3)
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    expected = (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    np.testing.assert_allclose(layer(x, training=training), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_the_closed_forms(shape: tuple[int, ...]) -> None:
    layer, (gamma, _, mean, variance) = _layer(shape, epsilon=1e-3)
    rng = np.random.default_rng(2)
    x, upstream = rng.normal(size=(2, *shape)).astype(np.float32)
    x_tensor = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x_tensor)
        y = layer(x_tensor, training=True)
    sources = [x_tensor, layer.gamma.value, layer.beta.value]
    dx, dgamma, dbeta = tape.gradient(y, sources, output_gradients=tf.constant(upstream))
    axes = tuple(range(len(shape) - 1))
    normal = (x - mean) / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(dx, upstream * gamma / np.sqrt(variance + 1e-3), rtol=1e-4)
    np.testing.assert_allclose(dgamma, (upstream * normal).sum(axes), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(dbeta, upstream.sum(axes), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("gpus", [[], ["GPU:0"]])
def test_a_gpu_gets_operations_whose_gradients_are_deterministic(
    gpus: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = (4, 5, 6, 3)
    layer, (gamma, beta, mean, variance) = _layer(shape, epsilon=1e-3)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    call = tf.function(lambda x: layer(x, training=True))
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    expected = (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    np.testing.assert_allclose(call(x), expected, rtol=1e-5, atol=1e-5)
    kinds = {operation.type for operation in call.get_concrete_function(x).graph.get_operations()}
    assert ("FusedBatchNormV3" in kinds) == (not gpus)


def test_gradients_can_be_differentiated_again() -> None:
    """Sharpness measures need Hessian-vector products through the layer."""
    layer, (gamma, _, _, variance) = _layer((2, 4, 4, 3), epsilon=1e-3)
    x = tf.random.stateless_normal((2, 4, 4, 3), (1, 2))
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            loss = tf.reduce_sum(layer(x) ** 2) / 2
        gradient = inner.gradient(loss, x)
    product = outer.gradient(gradient, x, output_gradients=tf.ones_like(x))
    expected = np.broadcast_to(gamma**2 / (variance + 1e-3), x.shape)
    np.testing.assert_allclose(product, expected, rtol=1e-4)


def test_fit_changes_gamma_and_beta_but_no_statistics() -> None:
    layer, _ = _layer((8, 3, 3, 2))
    before = layer.get_weights()
    model = keras.Sequential([keras.Input((3, 3, 2)), layer])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    x = np.random.default_rng(0).normal(5, 3, (8, 3, 3, 2))
    model.fit(x, x * 2 + 1, verbose=0)
    after = layer.get_weights()
    assert all(np.any(a != b) for a, b in zip(before[:2], after[:2], strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(before[2:], after[2:], strict=True))


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("scale", [True, False])
def test_agrees_with_keras_at_inference_whatever_the_options(center: bool, scale: bool) -> None:
    kwargs = {"center": center, "scale": scale, "epsilon": 1e-5}
    frozen, plain = FrozenBatchNormalization(**kwargs), keras.layers.BatchNormalization(**kwargs)
    x = np.random.default_rng(3).normal(size=(2, 3, 3, 4)).astype(np.float32)
    plain(x)
    frozen.build(x.shape)
    weights = [np.random.default_rng(i).uniform(0.5, 2, 4) for i in range(len(plain.weights))]
    plain.set_weights(weights)
    frozen.set_weights(weights)
    np.testing.assert_allclose(frozen(x, training=True), plain(x), rtol=1e-5, atol=1e-6)


def test_channels_first_axis_is_respected() -> None:
    layer, plain = FrozenBatchNormalization(axis=1), keras.layers.BatchNormalization(axis=1)
    x = np.random.default_rng(4).normal(size=(2, 3, 5, 5)).astype(np.float32)
    np.testing.assert_allclose(layer(x, training=True), plain(x), rtol=1e-6)


def test_vectors_stay_float32_under_mixed_precision() -> None:
    layer, (gamma, beta, mean, variance) = _layer(
        (1, 1, 1, 3), dtype="mixed_bfloat16", epsilon=1e-3
    )
    assert {w.dtype for w in layer.weights} == {"float32"}
    # The mean is large against the deviations: with the vectors in bfloat16 nothing is left.
    layer.moving_mean.assign(mean + 1000)
    x = tf.cast(np.full((1, 1, 1, 3), 1000, np.float32), "bfloat16")
    y = layer(x)
    expected = -mean / np.sqrt(variance + 1e-3) * gamma + beta
    assert y.dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(y, "float32")[0, 0, 0], expected, rtol=0.02)


def test_saved_model_loads_without_custom_scope(tmp_path: Path) -> None:
    layer, _ = _layer((8, 3, 3, 2), name="norm")
    model = keras.Sequential([keras.Input((3, 3, 2)), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(2, 3, 3, 2)).astype(np.float32)
    assert isinstance(loaded.get_layer("norm"), FrozenBatchNormalization)
    np.testing.assert_array_equal(loaded(x, training=True), model(x))
