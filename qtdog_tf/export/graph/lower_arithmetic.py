"""What norms, sums and products become: mostly a factor and an offset a channel.

Start with `ARITHMETIC_HANDLERS`, and `lower_arithmetic` for `x + y` and `x * y`.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from qtdog_tf.export.graph import ops
from qtdog_tf.export.graph.lower_common import Handler, NotInteger, Shapes
from qtdog_tf.export.graph.ops import Common


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


def _add(layer: Any, wrapper: Any, common: Common, shapes: Shapes) -> list[ops.Op]:
    if len(shapes) != 2 or shapes[0] != shapes[1]:
        raise NotInteger("only the sum of two tensors of one shape has an integer form here")
    return [ops.Add(*common)]


def _multiply(layer: Any, wrapper: Any, common: Common, shapes: Shapes) -> list[ops.Op]:
    ranks = {len(shape) for shape in shapes}
    if len(shapes) != 2 or len(ranks) != 1:
        raise NotInteger("only the product of two tensors has an integer form here")
    return [ops.Multiply(*common)]


def lower_arithmetic(
    layer: Any, common: Common, shapes: Shapes, constants: Sequence[Any]
) -> list[ops.Op]:
    """`x + y` and `x * y` in a functional model, of two tensors or of a tensor and a number.

    Args:
        layer: a Keras operation called Add or Multiply.
        common: name, inputs, output shape and description.
        shapes: of its inputs.
        constants: its other arguments.

    Raises:
        NotInteger: for other arguments.
    """
    adds = type(layer).__name__ == "Add"
    if len(shapes) == 2:
        return (_add if adds else _multiply)(layer, None, common, shapes)
    if len(constants) != 1 or np.ndim(constants[0]) > 0:
        raise NotInteger("only tensors and single numbers have an integer form")
    number = float(constants[0])
    return _affine(common, shapes, *((1.0, number) if adds else (number, 0.0)))


ARITHMETIC_HANDLERS: tuple[tuple[Any, Handler], ...] = (
    (keras.layers.BatchNormalization, _batch_norm),
    (keras.layers.Rescaling, _rescaling),
    (keras.layers.Normalization, _normalization),
    (keras.layers.Add, _add),
    (keras.layers.Multiply, _multiply),
)
