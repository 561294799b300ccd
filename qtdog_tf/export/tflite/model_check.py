"""Checks what a damaged .tflite file would crash LiteRT with, once its flatbuffer can be read.

A changed byte can leave the flatbuffer whole and make a number in it wrong: an index of a tensor
that is not there, a scale of zero. Start from `check_model`; fuzzing found what it has to check.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

_ZERO_POINTS = {
    schema.TensorType.UINT8: (0, 255),
    schema.TensorType.INT8: (-128, 127),
    schema.TensorType.INT4: (-8, 7),
}
_OTHER_ZERO_POINTS = (-(2**15), 2**15 - 1)
# Scales of values that are computed. LiteRT aborts on ratios that no multiplier can express.
_SMALLEST_SCALE, _LARGEST_SCALE = 1e-12, 1e12
# Numbers in one tensor; with more, a wrong shape takes minutes or all the memory.
_LARGEST_TENSOR = 2**29


def check_model(model: Any, file_bytes: int) -> None:
    """Checks indices, shapes and quantization.

    Args:
        model: a `schema.ModelT`.
        file_bytes: size of its file.

    Raises:
        ValueError: naming the first that is wrong.
    """
    if not model.subgraphs:
        raise ValueError("it holds no graph")
    for buffer in _items(model.buffers):
        # Data of huge models lies behind the flatbuffer, at an offset from the file's start.
        if buffer.offset > 1 and buffer.offset + buffer.size > file_bytes:
            raise ValueError("a buffer lies behind the end of the file")
    for graph in model.subgraphs:
        _check_references(model, graph)
        for tensor in _items(graph.tensors):
            _check_shape(tensor)
            is_constant = model.buffers[tensor.buffer].data is not None
            _check_quantization(tensor, is_constant)
        for operator in _items(graph.operators):
            _check_scales(graph.tensors, operator)


def _check_references(model: Any, graph: Any) -> None:
    operators = _items(graph.operators)
    tensors = len(_items(graph.tensors))
    _check_below((t.buffer for t in _items(graph.tensors)), len(_items(model.buffers)), "buffer")
    _check_below(
        (operator.opcodeIndex for operator in operators),
        len(_items(model.operatorCodes)),
        "operator code",
    )
    outputs = [index for operator in operators for index in _items(operator.outputs)]
    first = [index for operator in operators for index in _items(operator.inputs)[:1]]
    others = [index for operator in operators for index in _items(operator.inputs)[1:]]
    ends = (*_items(graph.inputs), *_items(graph.outputs))
    _check_below([*ends, *outputs, *first], tensors, "tensor")
    # -1 stands for an input that is left out, a bias for example; never the first.
    _check_below(others, tensors, "tensor", lowest=-1)


def _check_below(indices: Iterable[int], count: int, what: str, lowest: int = 0) -> None:
    for index in indices:
        if not lowest <= index < count:
            raise ValueError(f"it refers to {what} {index} of {count}")


def _check_shape(tensor: Any) -> None:
    size = math.prod(int(edge) for edge in _items(tensor.shape))
    if not 0 <= size <= _LARGEST_TENSOR:
        raise ValueError(f"the shape of tensor {tensor.name} is wrong")


def _check_quantization(tensor: Any, is_constant: bool) -> None:
    quantization = tensor.quantization
    if quantization is None or quantization.scale is None:
        return
    scales = np.asarray(quantization.scale)
    # A channel of weights that are all zero may have any scale.
    lowest = 0.0 if is_constant else _SMALLEST_SCALE
    if not np.all((scales >= lowest) & (scales <= _LARGEST_SCALE)):
        raise ValueError(f"the scale of tensor {tensor.name} is wrong")
    low, high = _ZERO_POINTS.get(tensor.type, _OTHER_ZERO_POINTS)
    zero_points = np.asarray(_items(quantization.zeroPoint))
    if not np.all((zero_points >= low) & (zero_points <= high)):
        raise ValueError(f"the zero point of tensor {tensor.name} is wrong")


def _check_scales(tensors: Any, operator: Any) -> None:
    """Refuses an operator some of whose codes have a scale and some none, which it divides by.

    Codes without any are plain integers, of an image that is cast to float for example.
    """
    indices = (*_items(operator.inputs), *_items(operator.outputs))
    codes = [tensors[i] for i in indices if i >= 0 and tensors[i].type in _ZERO_POINTS]
    scaled = [t.quantization is not None and len(_items(t.quantization.scale)) > 0 for t in codes]
    if any(scaled) and not all(scaled):
        raise ValueError(f"tensor {codes[scaled.index(False)].name} has no scale")


def _items(vector: Any) -> Any:
    return [] if vector is None else vector
