"""What each operation of an integer file must give, computed a second time in NumPy.

A file's own numbers go in: codes, scales, zero points. Sums of products are exact (float64 holds
integers up to 2^53), the rescaling is exact up to its last rounding, where LiteRT works with a
31-bit factor: so outputs may differ by one code, and by no more. The one exception is a softmax in
16 bits (`graph/wide_attention.py`), which may differ by 1/256.

Start with `largest_difference`, or `simulate` for one operator.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from qtdog_tf.export.checks.simulations import INTEGERS, SIMULATIONS, FileTensor
from qtdog_tf.export.checks.simulations_sequence import SEQUENCE_SIMULATIONS
from qtdog_tf.export.tflite.flatbuffer_file import read_model
from qtdog_tf.export.tflite.layers_of_file import (
    operation_of,
    operator_kind,
    operator_name,
    scales,
)

_SIMULATIONS = {**SIMULATIONS, **SEQUENCE_SIMULATIONS}

# LiteRT's softmax in 16 bits interpolates in two tables; up to 84 codes of 1/32768 were measured.
# Differences count in steps of 1/256, those of a softmax in 8 bits.
_SOFTMAX_UNIT = 2**7
# The difference between a number and what is none.
_NO_NUMBER = 2**31


def largest_difference(path: Path, inputs: np.ndarray) -> dict[str, int]:
    """Runs images through a file and through the simulation, operator by operator.

    Each operator is simulated on what LiteRT gave for its inputs, so that a difference shows
    where it arises.

    Args:
        path: an integer .tflite file.
        inputs: [n, S, S, 3] of the file's input type.

    Returns:
        By operator ("CONV_2D stem_conv"), the largest difference of its output in codes; of a
        softmax in 16 bits in steps of 1/256, rounded up. 2^31 where one of the two is no number.
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
            kind, wide = operator_kind(model, operator), schema.TensorType.INT16
            if kind == schema.BuiltinOperator.SOFTMAX and subgraph.tensors[output].type == wide:
                difference = np.ceil(difference / _SOFTMAX_UNIT)
            elif subgraph.tensors[output].type not in INTEGERS:
                # A float output, of codes: in steps between these.
                difference /= scales(subgraph.tensors[operator.inputs[0]])[0]
            if not np.isfinite(difference):
                difference = _NO_NUMBER
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
    inputs = [FileTensor(model, tensors[i], values.get(i)) for i in operator.inputs if i >= 0]
    output = FileTensor(model, tensors[operator.outputs[0]], None)
    real = _SIMULATIONS[kind](operator.builtinOptions, inputs, output)
    return output.to_codes(real)


def _values_of(interpreter: Interpreter, model: Any) -> dict[int, np.ndarray]:
    subgraph = model.subgraphs[0]
    computed = {i for operator in subgraph.operators for i in operator.outputs}
    return {i: interpreter.get_tensor(i) for i in (*subgraph.inputs, *sorted(computed))}
