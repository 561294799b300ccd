"""The parity gate of files with float activations: is every number what the graph has?

Start with `check_float_file`.
"""

from pathlib import Path
from typing import Any

import numpy as np

from qtdog_tf.export.checks.parity import Check, check_codes, check_scales, largest
from qtdog_tf.export.graph import ops
from qtdog_tf.export.tflite.flatbuffer_file import read_model
from qtdog_tf.export.tflite.layers_of_file import (
    FileConv,
    find_convolutions,
    scales,
    tensor_values,
    weight_codes,
)

_SMALLEST_HALF = 2.0**-14


def check_float_file(path: Path, graph: ops.Graph, relative_error: float) -> list[Check]:
    """Compares weights and biases of a file with float activations with what it was made of.

    Args:
        path: the .tflite file.
        graph: the graph that was converted; a layer with codes must be stored as codes if the
            file holds 8-bit weights, and as their values otherwise.
        relative_error: allowed in float numbers: 0 in float32, 2^-11 in float16.
    """
    model = read_model(path)
    found = find_convolutions(model, graph, allow_others=True)
    stored_as_codes = any(scales(conv.weights).size for conv in found.values())
    biases = [_check_float_biases(model, found, graph, relative_error)]
    if stored_as_codes:
        codes = check_codes(model, found, graph, graph, set())
        return [codes, check_scales(found, graph), *biases]
    return [_check_values(model, found, graph, relative_error), *biases]


def _check_values(
    model: Any, found: dict[str, FileConv], graph: ops.Graph, allowed: float
) -> Check:
    errors = [
        _relative_error(
            weight_codes(model, found[conv.name], conv.is_depthwise), conv.kernel.to_float()
        )
        for conv in graph.convs
    ]
    return _within("weights", largest(errors), allowed)


def _check_float_biases(
    model: Any, found: dict[str, FileConv], graph: ops.Graph, allowed: float
) -> Check:
    """Leaves out where the converter may add to the bias what a foreign layer adds to its input."""
    errors = [
        _relative_error(tensor_values(model, found[conv.name].bias), conv.bias.astype(np.float32))
        for conv in graph.convs
        if not _goes_to_foreign_layer(conv, graph)
    ]
    return _within("biases", largest(errors), allowed)


def _goes_to_foreign_layer(op: ops.Op, graph: ops.Graph) -> bool:
    return any(
        isinstance(user, ops.KerasCall)
        or (isinstance(user, ops.Move) and _goes_to_foreign_layer(user, graph))
        for user in graph.consumers(op.name)
    )


def _relative_error(stored: np.ndarray, expected: np.ndarray) -> float:
    wanted = expected.astype(np.float64)
    # Below the smallest normal number of float16 its steps are absolute.
    slack = np.maximum(np.abs(wanted), _SMALLEST_HALF)
    return float((np.abs(stored.astype(np.float64) - wanted) / slack).max())


def _within(name: str, error: float, allowed: float) -> Check:
    detail = f"largest relative error {error:.1e}, allowed {allowed:.1e}"
    return Check(name, error <= allowed, detail, error)
