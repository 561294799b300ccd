"""The weights of a layer as the deploy graph stores them: learned codes, or float values.

Start with `read_kernel`; `round_to_int8` makes codes of float weights.
"""

from typing import Any

import keras
import numpy as np

from qtdog_tf.export.graph.ops import INT8_MAX, Kernel
from qtdog_tf.quantization.quantize_config import kernel_attribute
from qtdog_tf.quantization.quantizer import STEP_SIZE

INT8_BITS = 8


def read_kernel(layer: Any, wrapper: Any = None) -> Kernel:
    """The kernel of a Conv2D, DepthwiseConv2D or Dense layer.

    Args:
        layer: the layer.
        wrapper: the `QuantizeWrapper` around it, if there is one.

    Returns:
        A kernel [height, width, in / groups, out], on the lattice that training learned if the
        wrapper quantizes now, else float.
    """
    if wrapper is None or not wrapper.quantizes:
        weight = np.asarray(getattr(layer, kernel_attribute(layer)), np.float32)
        values = _as_convolution(layer, weight)
        return Kernel(scale=np.ones(values.shape[-1]), values=values)
    weight, quantizer, variables = wrapper.quantized_weights[0]
    codes = _as_convolution(layer, quantizer.codes(weight, variables).numpy())
    # One a layer or one a channel, it is one a channel in the file.
    step_size = np.broadcast_to(np.asarray(variables[STEP_SIZE], np.float64), weight.shape)
    scale = _as_convolution(layer, step_size)[0, 0, 0]
    # int16, since 8 bits without narrow range have a code -128, whose opposite is 128.
    return Kernel(scale.copy(), codes.astype(np.int16), bits=quantizer.bits, learned=True)


def _as_convolution(layer: Any, array: np.ndarray) -> np.ndarray:
    if array.ndim == 2:  # Dense
        return array[None, None]
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        # [h, w, channels, multiplier]: the output channels run over both.
        return array.reshape(*array.shape[:2], 1, -1)
    return array


def round_to_int8(kernel: Kernel) -> Kernel:
    """Float weights on the finest lattice that holds them: max|w| of each channel is code 127.

    Args:
        kernel: any; one with codes is returned as it is.
    """
    if kernel.values is None:
        return kernel
    values = kernel.values.astype(np.float64) * kernel.scale
    largest = np.abs(values).max(axis=(0, 1, 2))
    # A channel of zeros has no scale of its own, but its bias is stored in units of it: it gets
    # one like the others'.
    usual = np.median(largest[largest > 0]) if largest.any() else 1.0
    scale = np.where(largest > 0, largest, usual) / INT8_MAX
    codes = np.rint(values / scale).astype(np.int16)
    return Kernel(scale, codes, bits=INT8_BITS)
