"""The folded graph computes what the Keras model computes, and keeps its codes."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from qtdog_tf.ensemble import build_ensemble
from qtdog_tf.export.graph import ops
from qtdog_tf.export.graph.fold import fold
from qtdog_tf.export.graph.lower import lower, with_probabilities
from qtdog_tf.models import build_classifier
from qtdog_tf.models.applications import ReverseChannels
from qtdog_tf.quantization import all_but
from tests.export_models import (
    SIZE,
    adapt_norms,
    execute,
    head,
    network,
    predict,
    quantized,
    random_pixels,
    randomize,
    shared_tiny,
    softmax,
    tiny,
)

PIXELS = random_pixels(4)


def assert_same_output(
    model: keras.Model, pixels: np.ndarray = PIXELS, tolerance: float = 1e-5, **options: bool
) -> None:
    expected = predict(model, pixels)
    actual = execute(fold(lower(model), **options), pixels)
    slack = tolerance * np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=slack)
    # Images that are told apart: a graph that ignores its input would fail.
    assert np.ptp(expected, axis=0).max() > 1e-3


def conv(filters: int = 8, size: int = 3, **arguments: Any) -> layers.Layer:
    return layers.Conv2D(filters, size, padding="same", **arguments)


def nested() -> keras.Model:
    def block(name: str) -> keras.Model:
        x = image = keras.Input((SIZE, SIZE, 8))
        x = layers.BatchNormalization(name="norm")(conv(name="conv", use_bias=False)(x))
        return keras.Model(image, layers.ReLU(name="relu")(x), name=name)

    inside = keras.Sequential([keras.Input((SIZE, SIZE, 8)), block("first"), block("second")])
    return network(lambda x: head(inside(conv(name="stem")(x))))


def sequential() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            layers.Rescaling(1 / 127.5, -1),
            layers.ZeroPadding2D(((1, 2), (0, 1))),
            conv(strides=2),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2),
            layers.Activation("relu6"),
            layers.Flatten(),
            layers.Dense(6),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dense(3),
        ]
    )


def residual(x: Any) -> Any:
    x = conv(use_bias=False)(x)
    y = layers.BatchNormalization()(conv(dilation_rate=2)(x))
    z = layers.DepthwiseConv2D(3, padding="same", dilation_rate=(2, 2), activation="relu")(x)
    return head(layers.AveragePooling2D(3, 2, "same")(layers.ReLU(1.5)(x + y) + z))


def depthwise(x: Any) -> Any:
    for strides in (1, 2):
        x = layers.DepthwiseConv2D(3, strides, "same", depth_multiplier=2)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    return head(layers.Dropout(0.5)(x))


def norms_without_conv(x: Any) -> Any:
    """A norm after a sum, one after pooling, and one with two readers before it."""
    x = conv(activation="relu")(x)
    x = layers.BatchNormalization()(layers.Add()([x, conv()(x)]))
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    return layers.Dense(3)(layers.BatchNormalization(scale=False, center=False)(x))


def caffe(x: Any) -> Any:
    """The preprocessing of applications/ResNet50, with a bias behind it."""
    x = layers.Rescaling([1.0, 1.0, 1.0], [-0.4, -0.45, -0.5])(ReverseChannels()(x))
    return head(conv(activation="relu6")(x))


def mobile(x: Any) -> Any:
    """A block of MobileNetV3: hard swish, and a factor a channel that the image decides."""
    x = layers.Activation("hard_silu")(layers.BatchNormalization()(conv(use_bias=False)(x)))
    factor = layers.GlobalAveragePooling2D(keepdims=True)(x)
    factor = layers.ReLU(6.0)(conv(8, 1)(layers.ReLU()(conv(4, 1)(factor))) + 3.0) * (1 / 6)
    return head(layers.Multiply()([x, factor]))


def shared_layer(x: Any) -> Any:
    again = conv(activation="relu", name="again")
    return head(again(again(conv(activation="relu")(x))))


NETWORKS: dict[str, Callable[[], keras.Model]] = {
    "tiny": shared_tiny,
    "tiny_per_layer": lambda: tiny(per_channel=False),
    "tiny_4_bits": lambda: tiny(4),
    "tiny_float": lambda: randomize(
        build_classifier("tiny", 3, image_size=SIZE, weights=None, freeze_batch_norm=False)
    ),
    "dense_quantized": lambda: tiny(rule=all_but()),
    "all_but_the_head": lambda: tiny(rule=all_but("head")),
    "nested": lambda: quantized(nested()),
    "sequential": lambda: quantized(sequential()),
    "residual": lambda: quantized(network(residual)),
    "depthwise": lambda: quantized(network(depthwise)),
    "norms_without_conv": lambda: quantized(network(norms_without_conv)),
    "grouped": lambda: quantized(network(lambda x: head(conv(8, groups=2)(conv()(x))))),
    "caffe": lambda: quantized(network(caffe)),
    "mobile": lambda: quantized(network(mobile)),
    "shared_layer": lambda: quantized(network(shared_layer)),
    "swish": lambda: quantized(network(lambda x: head(conv(activation="swish")(x)))),
}


@pytest.mark.parametrize("absorb", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_graph_computes_what_the_model_computes(name: str, absorb: bool) -> None:
    assert_same_output(NETWORKS[name](), absorb_normalization=absorb)


@pytest.mark.parametrize("backbone", ["resnet18", "applications/MobileNetV2"])
def test_the_graph_computes_what_a_large_backbone_computes(backbone: str) -> None:
    model = build_classifier(
        backbone, 3, image_size=64, weights=None, dropout=0.1, freeze_batch_norm=False
    )
    pixels = random_pixels(3, 64)
    # Random weights amplify what float32 rounds off.
    assert_same_output(adapt_norms(quantized(model), pixels), pixels, 1e-3)


@pytest.mark.parametrize("average", ["logits", "probabilities"])
def test_an_ensemble_becomes_one_graph_of_probabilities(average: str) -> None:
    ensemble = build_ensemble([shared_tiny(seed=0), tiny(3, seed=1)], average)
    graph = with_probabilities(fold(lower(ensemble)))
    expected = softmax(predict(ensemble, PIXELS))
    np.testing.assert_allclose(execute(graph, PIXELS), expected, rtol=1e-5)
    assert np.ptp(expected, axis=0).max() > 0.01
    # Both look at the same pixels, and are not averaged twice.
    assert sum(isinstance(op, ops.Softmax) for op in graph.ops) == (1 if average == "logits" else 2)


@pytest.mark.parametrize(
    "normalizations",
    [
        [layers.Rescaling(1 / 255), layers.Rescaling(2.0), layers.Rescaling(3.0, -1.5)],
        [layers.Normalization(mean=[120.0, 90.0, 80.0], variance=[900.0, 1600.0, 2500.0])],
        [layers.Normalization(axis=None, mean=100.0, variance=400.0)],
        [layers.Rescaling(np.full((1, 1, 3), 0.01), [0.1, 0.2, 0.3])],
    ],
)
def test_normalizations_one_after_the_other(normalizations: list[layers.Layer]) -> None:
    model = keras.Sequential(
        [keras.Input((SIZE, SIZE, 3)), *normalizations, conv(4), layers.ReLU()]
    )
    assert_same_output(model)
