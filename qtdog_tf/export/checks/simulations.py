"""The arithmetic of each integer operator, in NumPy, with what its codes stand for.

Every simulation returns real numbers; `FileTensor.to_codes` rounds them, once. Start with
`SIMULATIONS`; those of transformers are in `simulations_sequence.py`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from qtdog_tf.export.tflite.layers_of_file import scales, tensor_values

INTEGERS: dict[int, type[np.signedinteger] | type[np.unsignedinteger]] = {
    schema.TensorType.INT8: np.int8,
    schema.TensorType.UINT8: np.uint8,
    schema.TensorType.INT16: np.int16,
}
_PADDINGS = {schema.Padding.SAME: "SAME", schema.Padding.VALID: "VALID"}
_Kind = schema.BuiltinOperator


class FileTensor:
    """A tensor's codes, and what they stand for."""

    def __init__(self, model: Any, tensor: Any, value: np.ndarray | None) -> None:
        self.shape = tuple(int(n) for n in tensor.shape)
        self.type = tensor.type
        self.scales = scales(tensor)
        zeros = tensor.quantization.zeroPoint if self.scales.size else None
        self.zero_point = 0 if zeros is None else int(zeros[0])
        self.axis = tensor.quantization.quantizedDimension if self.scales.size > 1 else 0
        self._model, self._tensor, self._value = model, tensor, value

    @property
    def codes(self) -> np.ndarray:
        """The integers, constant or computed."""
        value = self._value
        return tensor_values(self._model, self._tensor) if value is None else value

    @property
    def real(self) -> np.ndarray:
        """What the codes stand for, float64."""
        shifted = self.codes.astype(np.float64) - self.zero_point
        if not self.scales.size:
            return shifted
        if self.scales.size == 1:
            return shifted * self.scales[0]
        along = [1] * shifted.ndim
        along[self.axis] = -1
        return shifted * self.scales.reshape(along)

    def to_codes(self, real: np.ndarray) -> np.ndarray:
        """The nearest codes to real numbers, as float64; real numbers stay if it has no codes."""
        if self.type not in INTEGERS:
            return real
        limits = np.iinfo(INTEGERS[self.type])
        codes = np.rint(real / self.scales[0]) + self.zero_point
        return np.clip(codes, limits.min, limits.max)


def activate(real: np.ndarray, options: Any) -> np.ndarray:
    """What an operator's built-in activation makes of real numbers."""
    kind = options.fusedActivationFunction
    high = {schema.ActivationFunctionType.RELU6: 6.0}.get(kind, np.inf)
    if kind == schema.ActivationFunctionType.NONE:
        return real
    return np.clip(real, 0.0, high)


def _conv(options: Any, inputs: list[FileTensor], output: FileTensor) -> np.ndarray:
    data, weights, bias = inputs
    # Whole numbers first, so that the sums are exact.
    centred = tf.constant(data.codes.astype(np.float64) - data.zero_point)
    filters = np.moveaxis(weights.codes.astype(np.float64), 0, -1)
    strides, dilation = _steps(options)
    padding = _PADDINGS[options.padding]
    sums = tf.nn.conv2d(centred, filters, strides, padding, dilations=dilation).numpy()
    return activate((sums + bias.codes) * data.scales[0] * weights.scales, options)


def _depthwise(options: Any, inputs: list[FileTensor], output: FileTensor) -> np.ndarray:
    data, weights, bias = inputs
    centred = tf.constant(data.codes.astype(np.float64) - data.zero_point)
    height, width, channels = *weights.shape[1:3], data.shape[-1]
    filters = weights.codes.astype(np.float64).reshape(height, width, channels, -1)
    strides, dilation = _steps(options)
    padding = _PADDINGS[options.padding]
    sums = tf.nn.depthwise_conv2d(
        centred, filters, [1, *strides, 1], padding, dilations=dilation
    ).numpy()
    return activate((sums + bias.codes) * data.scales[0] * weights.scales, options)


def _steps(options: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    strides = (options.strideH, options.strideW)
    return strides, (options.dilationHFactor, options.dilationWFactor)


def _add(options: Any, inputs: list[FileTensor], output: FileTensor) -> np.ndarray:
    return activate(inputs[0].real + inputs[1].real, options)


def _multiply(options: Any, inputs: list[FileTensor], output: FileTensor) -> np.ndarray:
    return activate(inputs[0].real * inputs[1].real, options)


def _hard_swish(options: Any, inputs: list[FileTensor], output: FileTensor) -> np.ndarray:
    return inputs[0].real * np.clip(inputs[0].real + 3, 0, 6) / 6


def _mean(options: Any, inputs: list[FileTensor], output: FileTensor) -> np.ndarray:
    axes = tuple(int(a) for a in np.atleast_1d(inputs[1].codes))
    return inputs[0].real.mean(axis=axes, keepdims=options.keepDims)


def _average_pool(options: Any, inputs: list[FileTensor], output: FileTensor) -> np.ndarray:
    size, strides = (options.filterHeight, options.filterWidth), (options.strideH, options.strideW)
    data, padding = tf.constant(inputs[0].real), _PADDINGS[options.padding]
    return activate(tf.nn.avg_pool2d(data, size, strides, padding).numpy(), options)


def _max_pool(options: Any, inputs: list[FileTensor], output: FileTensor) -> np.ndarray:
    size, strides = (options.filterHeight, options.filterWidth), (options.strideH, options.strideW)
    data, padding = tf.constant(inputs[0].real), _PADDINGS[options.padding]
    return activate(tf.nn.max_pool2d(data, size, strides, padding).numpy(), options)


def _pad(options: Any, inputs: list[FileTensor], output: FileTensor) -> np.ndarray:
    return np.pad(inputs[0].real, inputs[1].codes)


def _reshape(options: Any, inputs: list[FileTensor], output: FileTensor) -> np.ndarray:
    return inputs[0].real.reshape(output.shape)


def _pack(options: Any, inputs: list[FileTensor], output: FileTensor) -> np.ndarray:
    return np.stack([tensor.real for tensor in inputs], axis=options.axis)


def _softmax(options: Any, inputs: list[FileTensor], output: FileTensor) -> np.ndarray:
    logits = inputs[0].real * options.beta
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _same(options: Any, inputs: list[FileTensor], output: FileTensor) -> np.ndarray:
    return inputs[0].real


def _relu(options: Any, inputs: list[FileTensor], output: FileTensor) -> np.ndarray:
    return np.maximum(inputs[0].real, 0.0)


def _relu6(options: Any, inputs: list[FileTensor], output: FileTensor) -> np.ndarray:
    return np.clip(inputs[0].real, 0.0, 6.0)


Simulation = Callable[[Any, list[FileTensor], FileTensor], np.ndarray]
SIMULATIONS: dict[int, Simulation] = {
    _Kind.CONV_2D: _conv,
    _Kind.DEPTHWISE_CONV_2D: _depthwise,
    _Kind.ADD: _add,
    _Kind.MUL: _multiply,
    _Kind.HARD_SWISH: _hard_swish,
    _Kind.MEAN: _mean,
    _Kind.AVERAGE_POOL_2D: _average_pool,
    _Kind.MAX_POOL_2D: _max_pool,
    _Kind.PAD: _pad,
    _Kind.RESHAPE: _reshape,
    _Kind.PACK: _pack,
    _Kind.SOFTMAX: _softmax,
    _Kind.QUANTIZE: _same,
    _Kind.DEQUANTIZE: _same,
    _Kind.RELU: _relu,
    _Kind.RELU6: _relu6,
}
