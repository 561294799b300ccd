"""DomainBed's network for MNIST: against NumPy in float64, its start, and what becomes of it."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from qtdog_tf.errors import UserError
from qtdog_tf.evaluation.saved_config import check_config
from qtdog_tf.export import export_tflite, open_file
from qtdog_tf.export.capability import backbone_warning
from qtdog_tf.models import FastGroupNormalization, build_backbone, build_classifier
from qtdog_tf.models.mnist_cnn import block
from qtdog_tf.quantization import quantize, start_quantization
from qtdog_tf.quantization.wrapper import quantize_wrappers
from tests.export_models import random_pixels


def numpy_block(
    x: np.ndarray, weights: list[np.ndarray], strides: int, groups: int = 8, epsilon: float = 1e-5
) -> np.ndarray:
    """Convolution as torch pads it, ReLU, GroupNorm, each by its definition."""
    kernel, bias, gamma, beta = (np.asarray(w, np.float64) for w in weights)
    padded = np.pad(x.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows = range(0, x.shape[1], strides)
    columns = range(0, x.shape[2], strides)
    out = np.stack(
        [
            np.stack(
                [
                    np.einsum("nhwc,hwco->no", padded[:, i : i + 3, j : j + 3], kernel)
                    for j in columns
                ],
                axis=1,
            )
            for i in rows
        ],
        axis=1,
    )
    out = np.maximum(out + bias, 0)
    grouped = out.reshape(*out.shape[:3], groups, -1)
    mean = grouped.mean(axis=(1, 2, 4), keepdims=True)
    variance = grouped.var(axis=(1, 2, 4), keepdims=True)
    return ((grouped - mean) / np.sqrt(variance + epsilon)).reshape(out.shape) * gamma + beta


@pytest.mark.parametrize(("strides", "size"), [(1, 6), (2, 6), (2, 7)])
def test_a_block_is_its_definition_in_float64(strides: int, size: int) -> None:
    random = np.random.default_rng(0)
    image = keras.Input((size, size, 3))
    model = keras.Model(image, block(image, 16, strides, "1"))
    for variable in model.trainable_variables:
        variable.assign(random.normal(0, 0.4, variable.shape))
    x = random.uniform(-1, 1, (2, size, size, 3)).astype(np.float32)
    expected = numpy_block(x, model.get_weights(), strides)
    assert expected.shape == (2, -(-size // strides), -(-size // strides), 16)
    np.testing.assert_allclose(model(x), expected, atol=2e-5)


@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_group_norm_is_that_of_keras_with_its_gradients(offset: float) -> None:
    random = np.random.default_rng(1)
    x = tf.constant(random.normal(offset, 1, (3, 5, 4, 16)), tf.float32)
    results = []
    for kind in (keras.layers.GroupNormalization, FastGroupNormalization):
        layer = kind(8, epsilon=1e-5)
        layer.build(x.shape)
        layer.gamma.assign(np.linspace(-1, 2, 16))
        layer.beta.assign(np.linspace(1, -1, 16))
        with tf.GradientTape() as tape:
            tape.watch(x)
            out = layer(x)
            loss = tf.reduce_sum(tf.sin(3 * out))
        gradients = tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])
        results.append([out, *gradients])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(other, one, atol=1e-4 * np.abs(one).max())


@pytest.mark.parametrize(
    ("changes", "shape"),
    [({"scale": False}, (2, 3, 3, 8)), ({"axis": 1}, (2, 8, 3, 3)), ({}, (2, 8))],
)
def test_other_group_norms_are_those_of_keras(changes: dict, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    expected = keras.layers.GroupNormalization(4, **changes)(x)
    np.testing.assert_array_equal(FastGroupNormalization(4, **changes)(x), expected)


def test_group_norm_in_mixed_precision_computes_in_float32() -> None:
    x = np.random.default_rng(3).normal(30, 1, (2, 4, 4, 16)).astype(np.float32)
    out = FastGroupNormalization(8, dtype="mixed_bfloat16")(x)
    assert out.dtype == tf.bfloat16
    expected = FastGroupNormalization(8)(x)
    np.testing.assert_allclose(tf.cast(out, tf.float32), expected, rtol=2**-8)


def test_counts_are_those_of_domain_bed() -> None:
    """By hand: 9 * (3*64 + 64*128 + 128*128 + 128*128) weights, and biases; one input channel."""
    model = build_backbone("mnist_cnn", image_size=28, weights=None)
    convs = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [conv.output.shape[1:] for conv in convs] == [
        (28, 28, 64),
        (14, 14, 128),
        (14, 14, 128),
        (14, 14, 128),
    ]
    assert sum(conv.count_params() for conv in convs) == 9 * (192 + 8192 + 2 * 16384) + 64 + 3 * 128
    assert model.output.shape == (None, 128)
    quarter = build_backbone("mnist_cnn_quarter", image_size=28, weights=None)
    assert quarter.output.shape == (None, 32)
    order = [type(layer) for layer in model.layers if layer.name.endswith("1")]
    assert order == [keras.layers.Conv2D, keras.layers.ReLU, FastGroupNormalization]
    assert all(model.get_layer(f"norm{i}").epsilon == 1e-5 for i in range(1, 5))


def test_the_start_is_that_of_torch() -> None:
    """Kernel and bias uniform in +-1/sqrt(9 * input channels)."""
    model = build_backbone("mnist_cnn", image_size=8, weights=None, seed=3)
    for name, channels in (("conv1", 3), ("conv2", 64)):
        kernel, bias = model.get_layer(name).get_weights()
        limit = 1 / np.sqrt(9 * channels)
        assert np.abs(kernel).max() <= limit and np.abs(bias).max() <= limit
        assert np.abs(bias).max() > 0.8 * limit
        np.testing.assert_allclose(kernel.std(), limit / np.sqrt(3), rtol=0.05)


def test_pretrained_weights_are_refused() -> None:
    with pytest.raises(UserError, match="'mnist_cnn' has no pretrained weights"):
        build_backbone("mnist_cnn", image_size=28)


def test_export_is_told_before_training_that_there_is_no_integer_file() -> None:
    warning = backbone_warning("mnist_cnn_quarter", 28)
    assert warning is not None
    assert "mnist_cnn_quarter has no int8 file, since layer norm1 (FastGroupNormal" in warning
    assert "and 3 more; tools.export_tflite writes --kind=dynamic and --kind=float32" in warning


def test_it_is_quantized_saved_and_exported_as_float(tmp_path: Path) -> None:
    float_model = build_classifier("mnist_cnn_quarter", 3, image_size=12, weights=None)
    model = quantize(float_model, bits=7)
    start_quantization(model)
    assert [w.layer.name for w in quantize_wrappers(model)] == ["conv1", "conv2", "conv3", "conv4"]
    check_config(model.to_json().encode())
    pixels = random_pixels(24, 12)
    logits = model.predict(pixels, verbose=0)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for kind, tolerance in (("float32", 1e-5), ("dynamic", 0.02)):
        path = tmp_path / f"{kind}.tflite"
        labels = logits.argmax(axis=1)
        export = export_tflite(
            model, path, pixels, labels, ["a", "b", "c"], kind=kind, min_agreement=0.5
        )
        assert export.passed, export.checks
        with open_file(path) as classifier:
            np.testing.assert_allclose(classifier.predict(pixels), expected, atol=tolerance)
