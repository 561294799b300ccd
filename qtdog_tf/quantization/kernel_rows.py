"""A layer as a matrix product: its kernel as rows, and its inputs as what each row meets.

An output of a convolution is one row of weights times one patch of the input, so what is defined
for matrices (method, section 3: H = 2 X X^T) holds for every kind of layer here. Rows that meet the
same inputs stand together in a group: all of a Conv2D or a Dense layer, those of one group of a
grouped convolution, those of one input channel of a depthwise one.

`to_rows`, its inverse `from_rows`, and `input_columns` agree on the order within a row.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf


def to_rows(layer: Any, kernel: np.ndarray) -> np.ndarray:
    """The kernel of a layer as [groups, rows, d], one row an output channel.

    Args:
        layer: a Conv2D, DepthwiseConv2D or Dense layer.
        kernel: an array of the shape of its kernel.
    """
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return kernel.reshape(-1, *kernel.shape[2:]).transpose(1, 2, 0)
    groups = getattr(layer, "groups", 1)
    # Output channel o is in group o // (channels / groups).
    return kernel.reshape(-1, groups, kernel.shape[-1] // groups).transpose(1, 2, 0)


def from_rows(rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of `to_rows`: an array of the shape of the layer's kernel.

    Args:
        rows: [groups, rows, d].
        shape: of the kernel; or with 1 in place of all axes but those of the output channels, for
            something that there is one of for each row, [groups, rows, 1].
    """
    return rows.transpose(2, 0, 1).reshape(shape)


def input_columns(layer: Any, inputs: Any) -> tf.Tensor:
    """What the rows of each group meet in a batch of inputs.

    Args:
        layer: a built Conv2D, DepthwiseConv2D or Dense layer, channels last.
        inputs: of the layer, [N, H, W, C], or [N, ..., d] of a dense layer.

    Returns:
        float32 [groups, samples, d], a sample being an image and a place in it. With `to_rows` of
        the kernel, samples @ rows^T are the layer's outputs without bias.
    """
    inputs = tf.cast(tf.convert_to_tensor(inputs), tf.float32)
    if isinstance(layer, keras.layers.Dense):
        return tf.reshape(inputs, [1, -1, inputs.shape[-1]])
    channels, area = inputs.shape[-1], layer.kernel_size[0] * layer.kernel_size[1]
    patches = tf.image.extract_patches(
        inputs,
        sizes=[1, *layer.kernel_size, 1],
        strides=[1, *layer.strides, 1],
        rates=[1, *layer.dilation_rate, 1],
        padding=layer.padding.upper(),
    )
    is_depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    groups = channels if is_depthwise else layer.groups
    patches = tf.reshape(patches, [-1, area, groups, channels // groups])
    return tf.reshape(
        tf.transpose(patches, [2, 0, 1, 3]), [groups, -1, area * (channels // groups)]
    )
