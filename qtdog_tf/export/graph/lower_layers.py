"""What each kind of Keras layer becomes in the deploy graph.

Start with `lower_layer`.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from qtdog_tf.ensemble import LOGITS, EnsembleAverage
from qtdog_tf.export.graph import ops, ops_sequence
from qtdog_tf.export.graph.kernels import read_kernel
from qtdog_tf.export.graph.lower_arithmetic import ARITHMETIC_HANDLERS, lower_arithmetic
from qtdog_tf.export.graph.lower_common import Handler, NotInteger, Shapes
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
    ((keras.layers.Conv2D, keras.layers.DepthwiseConv2D), _conv),
    (keras.layers.Dense, _dense),
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
