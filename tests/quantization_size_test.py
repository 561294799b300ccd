"""Sizes against the method's table for ResNet-50, and against counts by hand."""

import keras
import numpy as np
import pytest
from keras import layers

from qtdog_tf.models import build_classifier
from qtdog_tf.quantization.annotate import quantize
from qtdog_tf.quantization.size import (
    ModelSize,
    entropy,
    entropy_bits_per_weight,
    model_size,
)
from qtdog_tf.quantization.start import start_quantization
from qtdog_tf.quantization.wrapper import quantize_wrappers

# Method 8.8: ResNet-50 has 53 convolutions and as many norms.
CONV_WEIGHTS, CHANNELS, FEATURES = 23_454_912, 26_560, 2048


def resnet50_size(classes, bits, fold=False):
    return ModelSize(
        weights=CONV_WEIGHTS + 4 * CHANNELS + (FEATURES + 1) * classes,
        quantized_weights=CONV_WEIGHTS,
        code_bits=bits * CONV_WEIGHTS,
        step_sizes=CHANNELS,
        folded_weights=3 * CHANNELS if fold else 0,
    )


@pytest.mark.parametrize(
    ("classes", "float_mb", "packed_mb", "ratios"),
    [
        (7, 94.30, 21.11, (4.47, 4.54, 1.12, 7.66, 10.05)),
        (5, 94.29, 21.10, (4.47, 4.54, 1.12, 7.67, 10.07)),
        (65, 94.78, 21.59, (4.39, 4.46, 1.14, 7.41, 9.61)),
        (10, 94.33, 21.14, (4.46, 4.53, 1.12, 7.64, 10.03)),
        (345, 97.07, 23.88, (4.07, 4.12, 1.23, 6.43, 7.99)),
    ],
)
def test_the_methods_table(classes, float_mb, packed_mb, ratios):
    size = resnet50_size(classes, 7)
    assert round(size.float_bytes / 1e6, 2) == float_mb
    assert round(size.packed_bytes / 1e6, 2) == packed_mb
    actual = (
        size.ratio,
        resnet50_size(classes, 7, fold=True).ratio,
        5 * size.packed_bytes / size.float_bytes,
        resnet50_size(classes, 4).ratio,
        resnet50_size(classes, 3).ratio,
    )
    # Two of them (4.0647 and 10.0649) were rounded twice in the table.
    assert actual == pytest.approx(ratios, abs=0.0055)


def test_our_resnet50_has_the_methods_counts():
    model = quantize(build_classifier("resnet50", 7, image_size=32, weights=None), bits=7)
    for wrapper in quantize_wrappers(model):
        wrapper.set_mode("train")
    assert model_size(model) == resnet50_size(7, 7)
    assert model_size(model, fold_batch_norm=True) == resnet50_size(7, 7, fold=True)


def tiny_model(bits):
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(5, 3, use_bias=False, name="conv")(image)
    x = layers.BatchNormalization(name="norm")(x)
    return quantize(keras.Model(image, layers.Dense(2)(layers.Flatten()(x))), bits=bits)


def test_counts_by_hand():
    model = tiny_model(bits=3)
    head = 6 * 6 * 5 * 2 + 2
    weights = 3 * 3 * 3 * 5 + 4 * 5 + head
    assert model_size(model) == ModelSize(weights=weights)
    assert model_size(model).ratio == 1
    start_quantization(model, "frozen")
    size = model_size(model)
    assert size == ModelSize(weights, 135, 405, 5)
    assert size.float_bytes == 4 * weights
    assert size.packed_bytes == 51 + 4 * (5 + 20 + head)  # 405 bits are 50.6 bytes
    folded = model_size(model, fold_batch_norm=True)
    assert folded.packed_bytes == 51 + 4 * (5 + 5 + head)
    assert folded.float_bytes == size.float_bytes


def test_a_float_model_is_no_smaller():
    plain = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    assert model_size(plain).packed_bytes == model_size(plain).float_bytes == 4 * 15


def test_entropy_of_known_codes():
    assert entropy(np.array([3, 3, 3])) == 0
    assert entropy(np.array([[-1, 1], [1, -1]])) == 1
    assert entropy(np.arange(8)) == pytest.approx(3)
    assert entropy(np.array([0, 0, 0, 1])) == pytest.approx(2 - 0.75 * np.log2(3))


@pytest.mark.parametrize(
    ("bits", "expected"), [(8, 4.9), (7, 4.4), (6, 3.9), (5, 3.3), (4, 2.8), (3, 2.2), (2, 1.5)]
)
def test_entropy_of_gaussian_weights_is_the_specified_one(bits, expected):
    # Method 2.4, at the initial step size.
    model = quantize(
        keras.Sequential([keras.Input((8, 8, 96)), layers.Conv2D(64, 3)]),
        bits=bits,
        per_channel=False,
        narrow_range=False,
    )
    [wrapper] = quantize_wrappers(model)
    kernel = wrapper.quantized_weights[0][0]
    kernel.assign(np.random.default_rng(0).normal(size=kernel.shape))
    start_quantization(model)
    assert entropy_bits_per_weight(model) == pytest.approx(expected, abs=0.06)


def test_entropy_is_weighted_by_the_size_of_layers():
    image = keras.Input((4, 4, 1))
    x = layers.Conv2D(1, (1, 2), use_bias=False, name="two")(image)
    x = layers.Conv2D(1, (1, 3), use_bias=False, padding="same", name="three")(x)
    model = quantize(keras.Model(image, x), bits=4)
    start_quantization(model)
    for wrapper, kernel in zip(quantize_wrappers(model), ([1, -1], [2, 2, 2]), strict=True):
        [(weight, _, variables)] = wrapper.quantized_weights
        weight.assign(np.reshape(kernel, weight.shape))
        variables["step_size"].assign(np.ones((1, 1, 1, 1)))
    assert entropy_bits_per_weight(model) == pytest.approx((2 * 1 + 3 * 0) / 5)


def test_entropy_of_a_float_model_is_refused():
    with pytest.raises(ValueError, match="has no layer that quantizes now"):
        entropy_bits_per_weight(tiny_model(bits=3))
