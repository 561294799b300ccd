"""What layers of weights become in the deploy graph: a convolution, and their activation.

Start with `PRODUCT_HANDLERS`.
"""

import math
from typing import Any

import keras
import numpy as np

from qtdog_tf.export.graph import ops
from qtdog_tf.export.graph.kernels import read_kernel
from qtdog_tf.export.graph.lower_common import CLIPS, Handler, NotInteger, Shapes, stays_float
from qtdog_tf.export.graph.ops import Common


def _conv(layer: Any, wrapper: Any, common: Common, shapes: Shapes) -> list[ops.Op]:
    if layer.padding not in ("same", "valid"):
        raise NotInteger(f"padding {layer.padding!r} has no integer form")
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    kernel = read_kernel(layer, wrapper)
    conv = ops.Conv(
        *_before_activation(layer, common),
        kernel=kernel,
        bias=_bias(layer, kernel),
        strides=layer.strides,
        dilation=layer.dilation_rate,
        padding=layer.padding.upper(),
        groups=shapes[0][-1] if depthwise else layer.groups,
        clip=CLIPS.get(layer.activation, ops.NO_CLIP),
    )
    return [conv, *_float_activation(layer, common)]


def _dense(layer: Any, wrapper: Any, common: Common, shapes: Shapes) -> list[ops.Op]:
    """A 1x1 convolution: the converter cannot quantize a matrix product for each channel."""
    name, inputs, shape, text = common
    kernel = read_kernel(layer, wrapper)
    rows = math.prod(shapes[0][:-1])
    last, *_ = _before_activation(layer, common)
    return [
        ops.Reshape(f"{name}.in", inputs, (rows, 1, shapes[0][-1]), text),
        ops.Conv(
            f"{name}.product",
            (f"{name}.in",),
            (rows, 1, shape[-1]),
            text,
            kernel=kernel,
            bias=_bias(layer, kernel),
            clip=CLIPS.get(layer.activation, ops.NO_CLIP),
        ),
        ops.Reshape(last, (f"{name}.product",), shape, text),
        *_float_activation(layer, common),
    ]


def _bias(layer: Any, kernel: ops.Kernel) -> np.ndarray:
    if not layer.use_bias:
        return np.zeros(kernel.shape[-1])
    return np.asarray(layer.bias, np.float64)


def _before_activation(layer: Any, common: Common) -> Common:
    """What a layer's product is called: as the layer, unless its activation comes behind it."""
    name, inputs, shape, text = common
    return (name if layer.activation in CLIPS else f"{name}.linear"), inputs, shape, text


def _float_activation(layer: Any, common: Common) -> list[ops.Op]:
    """What no operation can do by itself; it alone stays float, so that the codes are stored."""
    if layer.activation in CLIPS:
        return []
    name, _, shape, text = common
    before, *_ = _before_activation(layer, common)
    activation, arguments = layer.activation, (ops.Ref(before),)
    why = stays_float(activation)
    return [ops.KerasCall(name, (before,), shape, text, activation, arguments, {}, why)]


PRODUCT_HANDLERS: tuple[tuple[Any, Handler], ...] = (
    ((keras.layers.Conv2D, keras.layers.DepthwiseConv2D), _conv),
    (keras.layers.Dense, _dense),
)
