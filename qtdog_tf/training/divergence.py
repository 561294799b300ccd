"""Where a loss that is not finite comes from."""

import keras
import numpy as np
import tensorflow as tf

from qtdog_tf.algorithms.passes import NOT_FINITE


def is_divergence(error: Exception) -> bool:
    """Whether `fit` was stopped by a loss that is not finite, see `AlgorithmModel`."""
    return isinstance(error, tf.errors.InvalidArgumentError) and NOT_FINITE in str(error)


def first_bad_layer(model: keras.Model, images: tf.Tensor) -> str | None:
    """Says which layer is the first to have values that are not finite, in its weights or outputs.

    Args:
        model: functional, with the weights of before the failed step.
        images: the batch of that step.

    Returns:
        "the weights of layer 'stem_conv'" or "the output of layer 'stem_conv'"; None if every
        layer is finite, so that the loss alone overflowed.
    """
    for layer in model.layers:
        if not all(np.isfinite(v.numpy()).all() for v in layer.weights if _is_float(v)):
            return f"the weights of layer {layer.name!r}"
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    outputs = keras.Model(model.inputs, [layer.output for layer in layers])(images, training=False)
    for layer, values in zip(layers, outputs, strict=True):
        if not all(np.isfinite(np.asarray(v, np.float32)).all() for v in tf.nest.flatten(values)):
            return f"the output of layer {layer.name!r}"
    return None


def _is_float(variable: keras.Variable) -> bool:
    return "float" in keras.backend.standardize_dtype(variable.dtype)
