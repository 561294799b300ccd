"""The arithmetic of the integer operators that transformers need; see `simulations.py`.

Start with `SEQUENCE_SIMULATIONS`.
"""

from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from qtdog_tf.export.checks.simulations import FileTensor, Simulation, activate

_Kind = schema.BuiltinOperator


def _subtract(options: Any, inputs: list[FileTensor], output: FileTensor) -> np.ndarray:
    return activate(inputs[0].real - inputs[1].real, options)


def _matrix_product(options: Any, inputs: list[FileTensor], output: FileTensor) -> np.ndarray:
    """Whole numbers first, so that the sums are exact."""
    first, second = (t.codes.astype(np.float64) - t.zero_point for t in inputs)
    first = np.swapaxes(first, -1, -2) if options.adjX else first
    second = np.swapaxes(second, -1, -2) if options.adjY else second
    return first @ second * inputs[0].scales[0] * inputs[1].scales[0]


def _rsqrt(options: Any, inputs: list[FileTensor], output: FileTensor) -> np.ndarray:
    """Of 0 it is infinite, which is the last code."""
    with np.errstate(divide="ignore"):
        return 1 / np.sqrt(inputs[0].real)


def _gelu(options: Any, inputs: list[FileTensor], output: FileTensor) -> np.ndarray:
    return tf.nn.gelu(tf.constant(inputs[0].real), options.approximate).numpy()


def _slice(options: Any, inputs: list[FileTensor], output: FileTensor) -> np.ndarray:
    begin, size = (tensor.codes for tensor in inputs[1:])
    return tf.slice(tf.constant(inputs[0].real), begin, size).numpy()


def _transpose(options: Any, inputs: list[FileTensor], output: FileTensor) -> np.ndarray:
    return inputs[0].real.transpose(inputs[1].codes)


SEQUENCE_SIMULATIONS: dict[int, Simulation] = {
    _Kind.SUB: _subtract,
    _Kind.BATCH_MATMUL: _matrix_product,
    _Kind.RSQRT: _rsqrt,
    _Kind.GELU: _gelu,
    _Kind.SLICE: _slice,
    _Kind.TRANSPOSE: _transpose,
}
