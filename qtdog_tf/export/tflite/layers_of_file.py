"""Reads a .tflite file back as layers, and finds the operations of the deploy graph in it.

Start with `find_convolutions`.
"""

import dataclasses
from collections import Counter
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from qtdog_tf.errors import UserError
from qtdog_tf.export.graph import ops

CONVOLUTIONS = (
    schema.BuiltinOperator.CONV_2D,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D,
)
_OPERATOR_NAMES = {
    value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")
}
_INTEGER_TYPES = {
    schema.TensorType.INT4: 4,
    schema.TensorType.INT8: 8,
    schema.TensorType.UINT8: 8,
    schema.TensorType.INT16: 16,
    schema.TensorType.INT32: 32,
    schema.TensorType.INT64: 64,
    schema.TensorType.BOOL: 8,
}
_NUMPY_TYPES = {
    schema.TensorType.INT8: np.int8,
    schema.TensorType.UINT8: np.uint8,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,
    schema.TensorType.FLOAT16: np.float16,
    schema.TensorType.FLOAT32: np.float32,
}


@dataclasses.dataclass(frozen=True, eq=False)
class FileConv:
    """A convolution of the file: objects of the flatbuffer, which may be changed.

    Attributes:
        operator: its `OperatorT`.
        weights, bias: `TensorT`.
        input, output: indices of tensors.
    """

    operator: Any
    weights: Any
    bias: Any
    input: int
    output: int


def operator_kind(model: Any, operator: Any) -> int:
    """The `BuiltinOperator` of an operator."""
    code = model.operatorCodes[operator.opcodeIndex]
    return max(code.builtinCode, code.deprecatedBuiltinCode)


def operator_name(model: Any, operator: Any) -> str:
    """Name of the kind of an operator, "CONV_2D" for example."""
    return _OPERATOR_NAMES.get(operator_kind(model, operator), "CUSTOM")


def tensor_name(tensor: Any) -> str:
    """The name of a tensor."""
    return tensor.name.decode("utf-8", "replace") if isinstance(tensor.name, bytes) else tensor.name


def operation_of(tensor: Any) -> str:
    """The deploy graph's operation that a tensor comes from: the first scope of its name."""
    return tensor_name(tensor).partition("/")[0]


def find_convolutions(
    model: Any, graph: ops.Graph, *, allow_others: bool = False
) -> dict[str, FileConv]:
    """The convolutions of a file by the name of their operation in the graph.

    Args:
        model: what `read_model` returned.
        graph: what the file was made of.
        allow_others: whether the file may hold convolutions that the graph does not list, those
            inside a `KerasCall`.

    Raises:
        UserError: if one is missing, or there is another one.
    """
    tensors = model.subgraphs[0].tensors
    widened = {
        operator.outputs[0]: operator.inputs[0]
        for operator in model.subgraphs[0].operators
        if operator_kind(model, operator) == schema.BuiltinOperator.DEQUANTIZE
    }
    found: dict[str, FileConv] = {}
    wanted = Counter(conv.name for conv in graph.convs)
    names: Counter[str] = Counter()
    for operator in model.subgraphs[0].operators:
        if operator_kind(model, operator) not in CONVOLUTIONS:
            continue
        # Constants in float16 pass a conversion on their way.
        data, weights, bias = (widened.get(index, index) for index in operator.inputs)
        name = operation_of(tensors[weights])
        if name not in wanted:
            # Equal weights are stored once, under no name of ours.
            name = operation_of(tensors[operator.outputs[0]])
        names[name] += 1
        found[name] = FileConv(operator, tensors[weights], tensors[bias], data, operator.outputs[0])
    missing, unknown = wanted - names, names - wanted
    if missing or (unknown and not allow_others):
        raise UserError(
            "the converter changed the layers of the model: missing "
            f"{', '.join(sorted(missing)[:4]) or 'none'}; unknown "
            f"{', '.join(sorted(unknown)[:4]) or 'none'}"
        )
    return found


def tensor_values(model: Any, tensor: Any) -> np.ndarray:
    """The constant that a tensor holds; 4-bit numbers as int8."""
    data = np.asarray(model.buffers[tensor.buffer].data, np.uint8)
    shape = tuple(int(n) for n in tensor.shape)
    if tensor.type == schema.TensorType.INT4:
        return _unpack_int4(data, shape)
    return np.frombuffer(data.tobytes(), _NUMPY_TYPES[tensor.type]).reshape(shape)


def _unpack_int4(data: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Two numbers a byte, the low half first."""
    halves = np.stack([data & 15, data >> 4], axis=1).reshape(-1)[: int(np.prod(shape))]
    return (((halves.astype(np.int16) + 8) % 16) - 8).astype(np.int8).reshape(shape)


def weight_codes(model: Any, conv: FileConv, is_depthwise: bool) -> np.ndarray:
    """The stored weights of a convolution as [height, width, in / groups, out]."""
    stored = tensor_values(model, conv.weights)
    if is_depthwise:  # [1, h, w, out]
        return stored[0][:, :, None, :]
    return np.moveaxis(stored, 0, -1)


def scales(tensor: Any) -> np.ndarray:
    """The step sizes of a tensor, float64; empty if it is not quantized."""
    if tensor.quantization is None or tensor.quantization.scale is None:
        return np.zeros(0)
    return np.asarray(tensor.quantization.scale, np.float64)


def float_operators(model: Any) -> list[str]:
    """The operations that compute with floats, each with its kind and output's name.

    Turning a float input into integers, and integers into a float output, is not among them.
    """
    subgraph = model.subgraphs[0]
    found = []
    for operator in subgraph.operators:
        kind = operator_kind(model, operator)
        if kind in (schema.BuiltinOperator.QUANTIZE, schema.BuiltinOperator.DEQUANTIZE):
            ends = (*operator.inputs, *operator.outputs)
            if any(i in (*subgraph.inputs, *subgraph.outputs) for i in ends):
                continue
        tensors = [subgraph.tensors[i] for i in (*operator.inputs, *operator.outputs) if i >= 0]
        if any(tensor.type not in _INTEGER_TYPES for tensor in tensors):
            output = tensor_name(subgraph.tensors[operator.outputs[0]])
            found.append(f"{operator_name(model, operator)} ({output.partition(';')[0]})")
    return found
