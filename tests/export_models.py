"""Small networks with random weights and statistics, for tests of the exporter."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from qtdog_tf.export.graph import ops
from qtdog_tf.export.graph.execute import normalize, run
from qtdog_tf.models import build_classifier
from qtdog_tf.quantization import quantize, start_quantization
from qtdog_tf.quantization.wrapper import QuantizeWrapper, quantize_wrappers

SIZE, CLASSES = 16, 4


def random_pixels(count: int, size: int = SIZE, seed: int = 0) -> np.ndarray:
    """Noise of different tints, uint8 [count, size, size, 3]."""
    random = np.random.default_rng(seed)
    tint = random.uniform(0, 255, (count, 1, 1, 3))
    noise = random.normal(0, 60, (count, size, size, 3))
    return np.clip(np.rint(tint + noise), 0, 255).astype(np.uint8)


def randomize(model: keras.Model, seed: int = 0) -> keras.Model:
    """Gives every BatchNorm random statistics, gammas of both signs, and betas; and biases."""
    random = np.random.default_rng(seed)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.moving_mean.shape
            layer.moving_mean.assign(random.normal(0, 0.3, shape))
            layer.moving_variance.assign(random.uniform(0.3, 2, shape))
            if layer.center:
                layer.beta.assign(random.normal(0, 0.3, shape))
            if layer.scale:
                layer.gamma.assign(random.uniform(0.5, 1.5, shape) * random.choice([-1, 1], shape))
        elif getattr(layer, "use_bias", False) and not isinstance(layer, QuantizeWrapper):
            layer.bias.assign(random.normal(0, 0.3, layer.bias.shape))
    return model


def adapt_norms(model: keras.Model, pixels: np.ndarray) -> keras.Model:
    """Sets the statistics of Keras' BatchNormalization from images; deep networks need that."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(pixels.astype(np.float32), training=True)
    return model


def quantized(model: keras.Model, *args: Any, **settings: Any) -> keras.Model:
    """The model with quantization on, random where it would start trivially."""
    model = randomize(quantize(model, *args, **settings))
    start_quantization(model)
    return model


def spread(model: keras.Model, deviation: float = 2.0) -> keras.Model:
    """Scales the layer "head" so that images differ in every logit, and in which is largest."""
    logits = predict(model, random_pixels(64, model.inputs[0].shape[1], seed=3))
    layer = model.get_layer("head")
    factor = deviation / logits.std(axis=0)
    layer.kernel.assign(layer.kernel * factor)
    layer.bias.assign((layer.bias - logits.mean(axis=0)) * factor)
    return model


def network(layers: Callable[[Any], Any], size: int = SIZE) -> keras.Model:
    """A functional model of what `layers` makes of pixels between 0 and 1, from seeded weights."""
    keras.utils.set_random_seed(0)
    image = keras.Input((size, size, 3), name="image")
    return keras.Model(image, layers(keras.layers.Rescaling(1 / 255)(image)))


def head(features: Any) -> Any:
    """Pooling and a dense layer."""
    return keras.layers.Dense(CLASSES, name="head")(
        keras.layers.GlobalAveragePooling2D(name="pool")(features)
    )


def tiny(bits: int = 7, seed: int = 0, rule: Any = None, **settings: Any) -> keras.Model:
    """A quantized classifier of the backbone "tiny"."""
    model = build_classifier("tiny", CLASSES, image_size=SIZE, weights=None, seed=seed)
    rules = () if rule is None else (rule,)
    model = quantized(model, *rules, bits=bits, **settings)
    return model if rule else spread(model)


shared_tiny = functools.cache(tiny)  # of tests that leave the model as it is


def predict(model: keras.Model, pixels: np.ndarray) -> np.ndarray:
    """What a model gives for pixels."""
    # Not `predict`: TensorFlow warns of a process that traces many.
    return np.asarray(model(pixels.astype(np.float32), training=False))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities, float64."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def execute(graph: ops.Graph, pixels: np.ndarray) -> np.ndarray:
    """What a deploy graph gives for pixels."""
    return np.asarray(run(graph, normalize(graph.image, pixels.astype(np.float32))))


def learned_codes(model: keras.Model, layer: str) -> tuple[np.ndarray, np.ndarray]:
    """Codes and step sizes of a wrapped layer, as training has them."""
    (wrapper,) = [w for w in quantize_wrappers(model) if w.layer.name == layer]
    ((weight, quantizer, variables),) = wrapper.quantized_weights
    return quantizer.codes(weight, variables).numpy(), variables["step_size"].numpy()
