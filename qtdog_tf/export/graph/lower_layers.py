"""What each kind of Keras layer becomes in the deploy graph.

Start with `lower_layer`.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from qtdog_tf.ensemble import LOGITS, EnsembleAverage
from qtdog_tf.export.graph import ops, ops_sequence
from qtdog_tf.export.graph.lower_arithmetic import ARITHMETIC_HANDLERS, lower_arithmetic
from qtdog_tf.export.graph.lower_common import CLIPS, Handler, NotInteger, Shapes, stays_float
from qtdog_tf.export.graph.lower_products import PRODUCT_HANDLERS
from qtdog_tf.export.graph.lower_sequence import SEQUENCE_HANDLERS
from qtdog_tf.export.graph.ops import Common
from qtdog_tf.models.applications import ReverseChannels
from qtdog_tf.quantization.wrapper import ConfiguredWrapper


def lower_layer(
    operation: Any, common: Common, shapes: Shapes, constants: Sequence[Any] = ()
) -> list[ops.Op]:
    """The operations that a layer becomes, in order; none if it does nothing in inference.

    Args:
        operation: a Keras layer, a quantize wrapper, or an operation such as `x + y`.
        common: name, inputs, output shape and description; the last operation returned has them.
        shapes: of its inputs.
        constants: what else it is called with, the 3 of `x + 3` for example.

    Raises:
        NotInteger: if there is no integer form.
    """
    wrapper = operation if isinstance(operation, ConfiguredWrapper) else None
    layer = operation.layer if wrapper is not None else operation
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise NotInteger("its channels are not the last axis")
    for kinds, handler in _HANDLERS:
        if isinstance(layer, kinds):
            return handler(layer, wrapper, common, shapes)
    # What `x + y` makes in a functional model; Keras does not export its class.
    if type(layer).__name__ in ("Add", "Multiply") and isinstance(layer, keras.Operation):
        return lower_arithmetic(layer, common, shapes, constants)
    raise NotInteger(f"a {type(layer).__name__} has no integer form here")


def _relu(layer: Any, wrapper: Any, common: Common, shapes: Shapes) -> list[ops.Op]:
    if layer.negative_slope or layer.threshold:
        raise NotInteger("a ReLU with a slope or a threshold has no integer form here")
    high = np.inf if layer.max_value is None else float(layer.max_value)
    return [ops.Clip(*common, clip=(0.0, high))]


def _activation(layer: Any, wrapper: Any, common: Common, shapes: Shapes) -> list[ops.Op]:
    if layer.activation is keras.activations.softmax:
        return [ops.Softmax(*common)]
    if layer.activation is keras.activations.hard_silu:
        return [ops.HardSwish(*common)]
    if layer.activation is keras.activations.gelu:
        return [ops_sequence.Gelu(*common)]
    if layer.activation not in CLIPS:
        raise NotInteger(stays_float(layer.activation))
    clip = CLIPS[layer.activation]
    return [] if clip == ops.NO_CLIP else [ops.Clip(*common, clip=clip)]


def _pad(layer: Any, wrapper: Any, common: Common, shapes: Shapes) -> list[ops.Op]:
    return [ops.Pad(*common, pads=layer.padding)]


def _pool(layer: Any, wrapper: Any, common: Common, shapes: Shapes) -> list[ops.Op]:
    kind = "max" if isinstance(layer, keras.layers.MaxPooling2D) else "average"
    padding = layer.padding.upper()
    size, strides = layer.pool_size, layer.strides
    return [ops.Pool(*common, kind=kind, size=size, strides=strides, padding=padding)]


def _global_pool(layer: Any, wrapper: Any, common: Common, shapes: Shapes) -> list[ops.Op]:
    name, inputs, shape, text = common
    if layer.keepdims:
        return [ops.GlobalPool(*common)]
    pool = ops.GlobalPool(f"{name}.mean", inputs, (1, 1, *shape), text)
    return [pool, ops.Reshape(name, (pool.name,), shape, text)]


def _reshape(layer: Any, wrapper: Any, common: Common, shapes: Shapes) -> list[ops.Op]:
    return [ops.Reshape(*common)]


def _reverse(layer: Any, wrapper: Any, common: Common, shapes: Shapes) -> list[ops.Op]:
    return [ops.ReverseChannels(*common)]


def _nothing(layer: Any, wrapper: Any, common: Common, shapes: Shapes) -> list[ops.Op]:
    return []


def _softmax(layer: Any, wrapper: Any, common: Common, shapes: Shapes) -> list[ops.Op]:
    if layer.axis not in (-1, len(shapes[0])):
        raise NotInteger("a softmax over another axis than the last stays float")
    return [ops.Softmax(*common)]


def _ensemble(layer: Any, wrapper: Any, common: Common, shapes: Shapes) -> list[ops.Op]:
    name, inputs, shape, text = common
    if layer.average == LOGITS:
        return [ops.Average(*common)]
    parts = [ops.Softmax(f"{name}.{i}", (x,), shape, text) for i, x in enumerate(inputs)]
    return [*parts, ops.Average(name, tuple(p.name for p in parts), shape, text)]


_HANDLERS: tuple[tuple[Any, Handler], ...] = (
    *PRODUCT_HANDLERS,
    (keras.layers.ReLU, _relu),
    (keras.layers.Softmax, _softmax),
    (keras.layers.Activation, _activation),
    (keras.layers.ZeroPadding2D, _pad),
    ((keras.layers.MaxPooling2D, keras.layers.AveragePooling2D), _pool),
    (keras.layers.GlobalAveragePooling2D, _global_pool),
    ((keras.layers.Flatten, keras.layers.Reshape), _reshape),
    ((keras.layers.Dropout, keras.layers.Identity), _nothing),
    (ReverseChannels, _reverse),
    (EnsembleAverage, _ensemble),
    *ARITHMETIC_HANDLERS,
    *SEQUENCE_HANDLERS,
)
