"""Gives attention weights 16 bits in an integer file.

TFLite's softmax in 8 bits gives multiples of 1/256. Among the 197 tokens of a DeiT the weights of
attention are around 1/197 each, so 8 bits would make them 0 or 1/256; the steps of 16 bits are
1/32768. The converter knows no such softmax, the kernels do. So its file is changed:

    logits -> SOFTMAX -> MATMUL with values              before, all in 8 bits
    logits -> QUANTIZE -> SOFTMAX -> MATMUL -> QUANTIZE  after; values pass a QUANTIZE too

Start with `widen_attention`.
"""

from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from qtdog_tf.export.tflite.flatbuffer_file import pack_model, read_model
from qtdog_tf.export.tflite.layers_of_file import operator_kind, scales, tensor_name
from qtdog_tf.files import replacing

_Kind = schema.BuiltinOperator
# The first versions of these operations whose kernels take 16 bits.
_VERSIONS = {_Kind.QUANTIZE: 2, _Kind.SOFTMAX: 3, _Kind.BATCH_MATMUL: 4}
_LARGEST = 2**15 - 1
# What the kernel of a 16-bit softmax gives, whatever it sees.
_SOFTMAX_SCALE = 2.0**-15


def widen_attention(path: Path) -> None:
    """Changes every softmax that a matrix product follows, and that product, to 16 bits, in one go.

    Args:
        path: an integer .tflite file; one without attention stays as it is.
    """
    model = read_model(path)
    graph = model.subgraphs[0]
    products = [o for o in graph.operators if operator_kind(model, o) == _Kind.BATCH_MATMUL]
    weights = {product.inputs[0] for product in products}
    attention = [
        operator
        for operator in graph.operators
        if operator_kind(model, operator) == _Kind.SOFTMAX and operator.outputs[0] in weights
    ]
    if not attention:
        return
    for softmax in attention:
        _widen(model, softmax, [p for p in products if p.inputs[0] == softmax.outputs[0]])
    for code in model.operatorCodes:
        code.version = max(code.version, _VERSIONS.get(code.builtinCode, 1))
    with replacing(path) as temporary:
        temporary.write_bytes(pack_model(model))


def _widen(model: Any, softmax: Any, products: list[Any]) -> None:
    operators = model.subgraphs[0].operators
    logits, weights = softmax.inputs[0], softmax.outputs[0]
    softmax.inputs = [_add_wide(model, logits)]
    softmax.outputs = [_add_wide(model, weights, _SOFTMAX_SCALE)]
    operators.insert(operators.index(softmax), _quantize(model, logits, softmax.inputs[0]))
    for product in products:
        values, mixed = product.inputs[1], product.outputs[0]
        product.inputs = [softmax.outputs[0], _add_wide(model, values)]
        product.outputs = [_add_wide(model, mixed)]
        place = operators.index(product)
        operators.insert(place + 1, _quantize(model, product.outputs[0], mixed))
        operators.insert(place, _quantize(model, values, product.inputs[1]))


def _add_wide(model: Any, index: int, scale: float | None = None) -> int:
    """Adds a 16-bit tensor like another one; returns its index.

    Without a scale of its own it gets one that holds every value of the other, 0 being code 0.
    """
    tensors = model.subgraphs[0].tensors
    narrow, wide = tensors[index], schema.TensorT()
    if scale is None:
        zero = int(narrow.quantization.zeroPoint[0])
        scale = max(127 - zero, 128 + zero) * float(scales(narrow)[0]) / _LARGEST
    # Buffer 0 is empty: the values are computed.
    wide.shape, wide.type, wide.buffer = narrow.shape, schema.TensorType.INT16, 0
    wide.name = tensor_name(narrow)
    wide.quantization = schema.QuantizationParametersT()
    wide.quantization.scale = np.array([scale], np.float32)
    wide.quantization.zeroPoint = np.zeros(1, np.int64)
    tensors.append(wide)
    return len(tensors) - 1


def _quantize(model: Any, source: int, target: int) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex = _code(model, _Kind.QUANTIZE)
    operator.inputs, operator.outputs = [source], [target]
    operator.builtinOptionsType = schema.BuiltinOptions.QuantizeOptions
    operator.builtinOptions = schema.QuantizeOptionsT()
    return operator


def _code(model: Any, kind: int) -> int:
    """The index of an operator code, which is added if it is not there."""
    for index, code in enumerate(model.operatorCodes):
        if max(code.builtinCode, code.deprecatedBuiltinCode) == kind:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = kind
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1
