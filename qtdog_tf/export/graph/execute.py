"""Runs a deploy graph in TensorFlow: plainly, or with something done to every weight and output.

Calibration, the float files and the graph that the converter sees are one function with different
hooks. Start with `run`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from qtdog_tf.export.graph import ops, ops_sequence

KernelHook = Callable[[ops.Conv], Any]
OutputHook = Callable[[ops.Op, Any], Any]


def run(
    graph: ops.Graph,
    image: Any,
    *,
    kernel: KernelHook = lambda op: op.kernel.to_float(),
    output: OutputHook = lambda op, value: value,
) -> Any:
    """Computes a graph's output; works eagerly, and inside a `tf.function`.

    Args:
        graph: the operations.
        image: what the operation `Image` gives, float32 [n, S, S, 3]: pixels after its scale and
            offset; see `normalize`.
        kernel: returns the weights to use, float32 of the shape of `op.kernel`.
        output: may return another value for an operation's output; sees the image too.

    Returns:
        A float32 tensor.
    """
    values: dict[str, Any] = {}
    last_use = {name: op.name for op in graph.ops for name in op.inputs}
    for op in graph.ops:
        inputs = [values[name] for name in op.inputs]
        # The scope is how an operation is found again in the file, see `match`.
        with tf.name_scope(op.name):
            value = image if isinstance(op, ops.Image) else _compute(op, inputs, values, kernel)
            values[op.name] = output(op, value)
        # What nothing needs any more is let go: a batch of all activations would be gigabytes.
        for name in set(op.inputs):
            if last_use[name] == op.name:
                del values[name]
    return values[graph.output.name]


def normalize(image: ops.Image, pixels: Any) -> Any:
    """What the graph sees of raw pixels 0..255."""
    if (image.scale, image.offset) == (1.0, 0.0):
        return pixels
    return pixels * np.float32(image.scale) + np.float32(image.offset)


def clip(value: Any, limits: tuple[float, float]) -> Any:
    """`value` between two limits; as the operation that the converter fuses, where there is one."""
    if limits == ops.NO_CLIP:
        return value
    if limits == (0.0, np.inf):
        return tf.nn.relu(value)
    if limits == (0.0, 6.0):
        return tf.nn.relu6(value)
    return tf.clip_by_value(value, np.float32(limits[0]), np.float32(limits[1]))


def _compute(op: ops.Op, inputs: Sequence[Any], values: dict[str, Any], kernel: KernelHook) -> Any:
    match op:
        case ops.Conv():
            product = _convolve(op, inputs[0], kernel(op))
            return clip(product + op.bias.astype(np.float32), op.clip)
        case ops.Affine():
            return inputs[0] * op.scale.astype(np.float32) + op.offset.astype(np.float32)
        case ops.ReverseChannels():
            return tf.reverse(inputs[0], [-1])
        case ops.Add():
            return clip(inputs[0] + inputs[1], op.clip)
        case ops.Multiply():
            return inputs[0] * inputs[1]
        case ops.HardSwish():
            # In the form that the converter knows as one operation.
            return inputs[0] * tf.nn.relu6(inputs[0] + np.float32(3)) * np.float32(1 / 6)
        case ops.Clip():
            return clip(inputs[0], op.clip)
        case ops.Pad():
            return tf.pad(inputs[0], [(0, 0), *op.pads, (0, 0)])
        case ops.Pool():
            pool = tf.nn.max_pool2d if op.kind == "max" else tf.nn.avg_pool2d
            return pool(inputs[0], op.size, op.strides, op.padding)
        case ops.GlobalPool():
            return tf.reduce_mean(inputs[0], [1, 2], keepdims=True)
        case ops.Reshape():
            return tf.reshape(inputs[0], [-1, *op.shape])
        case ops.Softmax():
            return tf.nn.softmax(inputs[0])
        case ops.Average():
            return tf.reduce_mean(tf.stack(inputs, axis=1), axis=1)
        case ops.KerasCall():
            return _call_keras(op, values)
    found = ops_sequence.compute(op, list(inputs))
    if found is not None:
        return found
    raise TypeError(f"no way to compute a {type(op).__name__}")


def _convolve(op: ops.Conv, inputs: Any, kernel: Any) -> Any:
    if not op.is_depthwise:
        return tf.nn.conv2d(inputs, kernel, op.strides, op.padding, dilations=op.dilation)
    height, width, _, out = op.kernel.shape
    filters = tf.reshape(kernel, [height, width, op.groups, out // op.groups])
    strides = [1, *op.strides, 1]
    return tf.nn.depthwise_conv2d(inputs, filters, strides, op.padding, dilations=op.dilation)


def _call_keras(op: ops.KerasCall, values: dict[str, Any]) -> Any:
    def value(x: Any) -> Any:
        return values[x.name] if isinstance(x, ops.Ref) else x

    args, kwargs = keras.tree.map_structure(value, (op.args, op.kwargs))
    return op.operation(*args, **kwargs)
