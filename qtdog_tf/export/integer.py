"""What each operation of an integer file must give, computed a second time in NumPy.

A file's own numbers go in: codes, scales, zero points. Sums of products are exact (float64 holds
integers up to 2^53), the rescaling is exact up to its last rounding, where LiteRT works with a
31-bit factor: so outputs may differ by one code, and by no more.

Start with `largest_difference`, or `simulate` for one operator.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from qtdog_tf.export.flatbuffer_file import read_model
from qtdog_tf.export.layers_of_file import (
    operation_of,
    operator_kind,
    operator_name,
    scales,
    tensor_values,
)

_INTEGERS = {schema.TensorType.INT8: np.int8, schema.TensorType.UINT8: np.uint8}
_PADDINGS = {schema.Padding.SAME: "SAME", schema.Padding.VALID: "VALID"}
_Kind = schema.BuiltinOperator


def largest_difference(path: Path, inputs: np.ndarray) -> dict[str, int]:
    """Runs images through a file and through the simulation, operator by operator.

    Each operator is simulated on what LiteRT gave for its inputs, so that a difference shows
    where it arises.

    Args:
        path: an integer .tflite file.
        inputs: [n, S, S, 3] of the file's input type.

    Returns:
        By operator ("CONV_2D stem_conv"), the largest difference of its output in codes.
    """
    model = read_model(path)
    subgraph = model.subgraphs[0]
    interpreter = Interpreter(
        str(path),
        # Without the delegate, every operator's output can be read.
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    differences: dict[str, int] = {}
    for image in inputs:
        interpreter.set_tensor(subgraph.inputs[0], image[None])
        interpreter.invoke()
        values = _values_of(interpreter, model)
        for operator in subgraph.operators:
            output = operator.outputs[0]
            expected = simulate(model, operator, values)
            difference = np.abs(values[output].astype(np.float64) - expected).max(initial=0)
            if subgraph.tensors[output].type not in _INTEGERS:
                # A float output, of codes: in steps between these.
                difference /= scales(subgraph.tensors[operator.inputs[0]])[0]
            name = f"{operator_name(model, operator)} {operation_of(subgraph.tensors[output])}"
            differences[name] = max(differences.get(name, 0), int(np.rint(difference)))
    return differences


def simulate(model: Any, operator: Any, values: Mapping[int, np.ndarray]) -> np.ndarray:
    """The output of an operator, from the present values of its inputs.

    Args:
        model: what `read_model` returned.
        operator: one of its operators.
        values: by index of the tensor; constants are taken from the model.

    Returns:
        The output's codes as float64; real numbers where the file's output is float.

    Raises:
        NotImplementedError: for an operator that no file of this package holds.
    """
    tensors = model.subgraphs[0].tensors
    kind = operator_kind(model, operator)
    if kind not in _SIMULATIONS:
        raise NotImplementedError(f"no simulation of {operator_name(model, operator)}")
    inputs = [_Tensor(model, tensors[i], values.get(i)) for i in operator.inputs if i >= 0]
    output = _Tensor(model, tensors[operator.outputs[0]], None)
    real = _SIMULATIONS[kind](operator.builtinOptions, inputs, output)
    return output.to_codes(real)


class _Tensor:
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
        if self.type not in _INTEGERS:
            return real
        limits = np.iinfo(_INTEGERS[self.type])
        codes = np.rint(real / self.scales[0]) + self.zero_point
        return np.clip(codes, limits.min, limits.max)


def _values_of(interpreter: Interpreter, model: Any) -> dict[int, np.ndarray]:
    subgraph = model.subgraphs[0]
    computed = {i for operator in subgraph.operators for i in operator.outputs}
    return {i: interpreter.get_tensor(i) for i in (*subgraph.inputs, *sorted(computed))}


def _activate(real: np.ndarray, options: Any) -> np.ndarray:
    kind = options.fusedActivationFunction
    high = {schema.ActivationFunctionType.RELU6: 6.0}.get(kind, np.inf)
    if kind == schema.ActivationFunctionType.NONE:
        return real
    return np.clip(real, 0.0, high)


def _conv(options: Any, inputs: list[_Tensor], output: _Tensor) -> np.ndarray:
    data, weights, bias = inputs
    # Whole numbers first, so that the sums are exact.
    centred = tf.constant(data.codes.astype(np.float64) - data.zero_point)
    filters = np.moveaxis(weights.codes.astype(np.float64), 0, -1)
    strides, dilation = _steps(options)
    padding = _PADDINGS[options.padding]
    sums = tf.nn.conv2d(centred, filters, strides, padding, dilations=dilation).numpy()
    return _activate((sums + bias.codes) * data.scales[0] * weights.scales, options)


def _depthwise(options: Any, inputs: list[_Tensor], output: _Tensor) -> np.ndarray:
    data, weights, bias = inputs
    centred = tf.constant(data.codes.astype(np.float64) - data.zero_point)
    height, width, channels = *weights.shape[1:3], data.shape[-1]
    filters = weights.codes.astype(np.float64).reshape(height, width, channels, -1)
    strides, dilation = _steps(options)
    padding = _PADDINGS[options.padding]
    sums = tf.nn.depthwise_conv2d(
        centred, filters, [1, *strides, 1], padding, dilations=dilation
    ).numpy()
    return _activate((sums + bias.codes) * data.scales[0] * weights.scales, options)


def _steps(options: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    strides = (options.strideH, options.strideW)
    return strides, (options.dilationHFactor, options.dilationWFactor)


def _add(options: Any, inputs: list[_Tensor], output: _Tensor) -> np.ndarray:
    return _activate(inputs[0].real + inputs[1].real, options)


def _mean(options: Any, inputs: list[_Tensor], output: _Tensor) -> np.ndarray:
    axes = tuple(int(a) for a in np.atleast_1d(inputs[1].codes))
    return inputs[0].real.mean(axis=axes, keepdims=options.keepDims)


def _average_pool(options: Any, inputs: list[_Tensor], output: _Tensor) -> np.ndarray:
    size, strides = (options.filterHeight, options.filterWidth), (options.strideH, options.strideW)
    data, padding = tf.constant(inputs[0].real), _PADDINGS[options.padding]
    return _activate(tf.nn.avg_pool2d(data, size, strides, padding).numpy(), options)


def _max_pool(options: Any, inputs: list[_Tensor], output: _Tensor) -> np.ndarray:
    size, strides = (options.filterHeight, options.filterWidth), (options.strideH, options.strideW)
    data, padding = tf.constant(inputs[0].real), _PADDINGS[options.padding]
    return _activate(tf.nn.max_pool2d(data, size, strides, padding).numpy(), options)


def _pad(options: Any, inputs: list[_Tensor], output: _Tensor) -> np.ndarray:
    return np.pad(inputs[0].real, inputs[1].codes)


def _reshape(options: Any, inputs: list[_Tensor], output: _Tensor) -> np.ndarray:
    return inputs[0].real.reshape(output.shape)


def _pack(options: Any, inputs: list[_Tensor], output: _Tensor) -> np.ndarray:
    return np.stack([tensor.real for tensor in inputs], axis=options.axis)


def _softmax(options: Any, inputs: list[_Tensor], output: _Tensor) -> np.ndarray:
    logits = inputs[0].real * options.beta
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _same(options: Any, inputs: list[_Tensor], output: _Tensor) -> np.ndarray:
    return inputs[0].real


def _relu(options: Any, inputs: list[_Tensor], output: _Tensor) -> np.ndarray:
    return np.maximum(inputs[0].real, 0.0)


def _relu6(options: Any, inputs: list[_Tensor], output: _Tensor) -> np.ndarray:
    return np.clip(inputs[0].real, 0.0, 6.0)


_SIMULATIONS = {
    _Kind.CONV_2D: _conv,
    _Kind.DEPTHWISE_CONV_2D: _depthwise,
    _Kind.ADD: _add,
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
