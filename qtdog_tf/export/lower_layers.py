"""What each kind of Keras layer becomes in the deploy graph.

Start with `lower_layer`.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from qtdog_tf.ensemble import LOGITS, EnsembleAverage
from qtdog_tf.export import ops
from qtdog_tf.export.kernels import read_kernel
from qtdog_tf.models.applications import ReverseChannels
from qtdog_tf.quantization.wrapper import ConfiguredWrapper

# Name, inputs, shape and layer of an `Op`.
Common = tuple[str, tuple[str, ...], tuple[int, ...], str]
Shapes = Sequence[tuple[int, ...]]


class NotInteger(Exception):
    """The layer has no integer form; the message says why, as half a sentence."""


def lower_layer(operation: Any, common: Common, shapes: Shapes) -> list[ops.Op]:
    """The operations that a layer becomes, in order; none if it does nothing in inference.

    Args:
        operation: a Keras layer, a quantize wrapper, or an operation such as `x + y`.
        common: name, inputs, output shape and description; the last operation returned has them.
        shapes: of its inputs.

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
    # What `x + y` makes of two tensors of a functional model; Keras does not export its class.
    if type(layer).__name__ == "Add" and isinstance(layer, keras.Operation):
        return _add(layer, wrapper, common, shapes)
    raise NotInteger(f"a {type(layer).__name__} has no integer form here")


def _conv(layer: Any, wrapper: Any, common: Common, shapes: Shapes) -> list[ops.Op]:
    if layer.padding not in ("same", "valid"):
        raise NotInteger(f"padding {layer.padding!r} has no integer form")
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    kernel = read_kernel(layer, wrapper)
    return [
        ops.Conv(
            *common,
            kernel=kernel,
            bias=_bias(layer, kernel),
            strides=layer.strides,
            dilation=layer.dilation_rate,
            padding=layer.padding.upper(),
            groups=shapes[0][-1] if depthwise else layer.groups,
            clip=_clip_of(layer.activation),
        )
    ]


def _dense(layer: Any, wrapper: Any, common: Common, shapes: Shapes) -> list[ops.Op]:
    """A 1x1 convolution: the converter cannot quantize a matrix product for each channel."""
    name, inputs, shape, text = common
    kernel = read_kernel(layer, wrapper)
    rows = math.prod(shapes[0][:-1])
    clip = _clip_of(layer.activation)
    return [
        ops.Reshape(f"{name}.in", inputs, (rows, 1, shapes[0][-1]), text),
        ops.Conv(
            f"{name}.product",
            (f"{name}.in",),
            (rows, 1, shape[-1]),
            text,
            kernel=kernel,
            bias=_bias(layer, kernel),
            clip=clip,
        ),
        ops.Reshape(name, (f"{name}.product",), shape, text),
    ]


def _bias(layer: Any, kernel: ops.Kernel) -> np.ndarray:
    if not layer.use_bias:
        return np.zeros(kernel.shape[-1])
    return np.asarray(layer.bias, np.float64)


def _batch_norm(layer: Any, wrapper: Any, common: Common, shapes: Shapes) -> list[ops.Op]:
    if layer.axis not in (-1, len(shapes[0])):
        raise NotInteger("it normalizes another axis than the last")
    variance = np.asarray(layer.moving_variance, np.float64)
    scale = 1 / np.sqrt(variance + layer.epsilon)
    if layer.scale:
        scale = scale * np.asarray(layer.gamma, np.float64)
    offset = -np.asarray(layer.moving_mean, np.float64) * scale
    if layer.center:
        offset = offset + np.asarray(layer.beta, np.float64)
    return _affine(common, shapes, scale, offset)


def _rescaling(layer: Any, wrapper: Any, common: Common, shapes: Shapes) -> list[ops.Op]:
    return _affine(common, shapes, layer.scale, layer.offset)


def _normalization(layer: Any, wrapper: Any, common: Common, shapes: Shapes) -> list[ops.Op]:
    if layer.invert:
        raise NotInteger("an inverted Normalization has no integer form here")
    mean, variance = (np.asarray(x, np.float64) for x in (layer.mean, layer.variance))
    scale = 1 / np.maximum(np.sqrt(variance), keras.config.epsilon())
    return _affine(common, shapes, scale, -mean * scale)


def _affine(common: Common, shapes: Shapes, scale: Any, offset: Any) -> list[ops.Op]:
    """On an image; a vector becomes one of a single row, as `_dense` makes it."""
    channels = shapes[0][-1]
    scale, offset = _a_channel(scale, channels), _a_channel(offset, channels)
    if len(shapes[0]) == 3:
        return [ops.Affine(*common, scale=scale, offset=offset)]
    name, inputs, shape, text = common
    rows = (math.prod(shape[:-1]), 1, channels)
    return [
        ops.Reshape(f"{name}.in", inputs, rows, text),
        ops.Affine(f"{name}.affine", (f"{name}.in",), rows, text, scale=scale, offset=offset),
        ops.Reshape(name, (f"{name}.affine",), shape, text),
    ]


def _a_channel(values: Any, channels: int) -> np.ndarray:
    """One number a channel, of as many or of one for all."""
    array = np.asarray(values, np.float64)
    if array.size != 1 and array.shape[-1] != array.size:
        raise NotInteger("it treats pixels differently from place to place")
    return np.broadcast_to(array.reshape(-1), channels)


def _relu(layer: Any, wrapper: Any, common: Common, shapes: Shapes) -> list[ops.Op]:
    if layer.negative_slope or layer.threshold:
        raise NotInteger("a ReLU with a slope or a threshold has no integer form here")
    high = np.inf if layer.max_value is None else float(layer.max_value)
    return [ops.Clip(*common, clip=(0.0, high))]


def _activation(layer: Any, wrapper: Any, common: Common, shapes: Shapes) -> list[ops.Op]:
    if layer.activation is keras.activations.softmax:
        return [ops.Softmax(*common)]
    clip = _clip_of(layer.activation)
    return [] if clip == ops.NO_CLIP else [ops.Clip(*common, clip=clip)]


def _clip_of(activation: Callable[..., Any]) -> tuple[float, float]:
    clips = {
        keras.activations.linear: ops.NO_CLIP,
        keras.activations.relu: (0.0, np.inf),
        keras.activations.relu6: (0.0, 6.0),
    }
    if activation not in clips:
        raise NotInteger(f"activation {getattr(activation, '__name__', activation)!r} stays float")
    return clips[activation]


def _add(layer: Any, wrapper: Any, common: Common, shapes: Shapes) -> list[ops.Op]:
    if len(shapes) != 2 or shapes[0] != shapes[1]:
        raise NotInteger("only the sum of two tensors of one shape has an integer form here")
    return [ops.Add(*common)]


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


_Handler = Callable[[Any, Any, Common, Shapes], list[ops.Op]]
_HANDLERS: tuple[tuple[Any, _Handler], ...] = (
    ((keras.layers.Conv2D, keras.layers.DepthwiseConv2D), _conv),
    (keras.layers.Dense, _dense),
    (keras.layers.BatchNormalization, _batch_norm),
    (keras.layers.Rescaling, _rescaling),
    (keras.layers.Normalization, _normalization),
    (keras.layers.ReLU, _relu),
    (keras.layers.Softmax, _softmax),
    (keras.layers.Activation, _activation),
    (keras.layers.Add, _add),
    (keras.layers.ZeroPadding2D, _pad),
    ((keras.layers.MaxPooling2D, keras.layers.AveragePooling2D), _pool),
    (keras.layers.GlobalAveragePooling2D, _global_pool),
    ((keras.layers.Flatten, keras.layers.Reshape), _reshape),
    ((keras.layers.Dropout, keras.layers.Identity), _nothing),
    (ReverseChannels, _reverse),
    (EnsembleAverage, _ensemble),
)
