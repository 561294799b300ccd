"""The parity gate: is the file what training learned?

Every stored number is compared with the graph, and every operator's output with the simulation.
Start with `check_file`; what file and model say of images is compared in `agreement.py`.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qtdog_tf.export.checks.integer import largest_difference
from qtdog_tf.export.graph import ops
from qtdog_tf.export.graph.quantize import DeadChannel
from qtdog_tf.export.tflite.flatbuffer_file import read_model
from qtdog_tf.export.tflite.layers_of_file import (
    FileConv,
    find_convolutions,
    float_operators,
    scales,
    tensor_values,
    weight_codes,
)

# A scale passes float32 once on its way into the file.
MAX_SCALE_ERROR = 1e-6
# A bias passes float32 before it is rounded to its 32-bit integer.
_BIAS_SLACK = 1e-6
_INT32_MAX = 2**31 - 1
_SMALLEST_HALF = 2.0**-14


@dataclasses.dataclass(frozen=True)
class Check:
    """The outcome of one check.

    Attributes:
        name: what was compared.
        passed: whether the file may be shipped as far as this goes.
        detail: the figures, for a person.
        value: the figure that decided.
    """

    name: str
    passed: bool
    detail: str
    value: float


def check_file(
    path: Path,
    learned: ops.Graph,
    quantized: ops.Graph,
    dead: Sequence[DeadChannel],
    inputs: np.ndarray,
) -> list[Check]:
    """Compares every number in an integer file with what it was made of.

    Args:
        path: the .tflite file.
        learned: the folded graph: codes as learned.
        quantized: the graph that was converted: dead channels silenced, float weights rounded.
        dead: the dead channels.
        inputs: a few images for the layer check, of the file's input type.
    """
    model = read_model(path)
    found = find_convolutions(model, quantized)
    silent = {(channel.layer, channel.channel) for channel in dead}
    return [
        _check_codes(model, found, learned, silent),
        _check_scales(found, quantized),
        _check_biases(model, found, quantized),
        _check_layers(path, inputs),
        _check_float_operators(model),
    ]


def check_float_file(path: Path, graph: ops.Graph, relative_error: float) -> list[Check]:
    """Compares the weights of a file with float activations with what it was made of.

    Args:
        path: the .tflite file.
        graph: the graph that was converted; a layer with codes must be stored as codes if the
            file holds 8-bit weights, and as their values otherwise.
        relative_error: allowed in float weights: 0 in float32, 2^-11 in float16.
    """
    model = read_model(path)
    found = find_convolutions(model, graph, allow_others=True)
    stored_as_codes = any(scales(conv.weights).size for conv in found.values())
    if stored_as_codes:
        return [_check_codes(model, found, graph, set()), _check_scales(found, graph)]
    return [_check_values(model, found, graph, relative_error)]


def _check_values(
    model: Any, found: dict[str, FileConv], graph: ops.Graph, relative_error: float
) -> Check:
    worst = 0.0
    for conv in graph.convs:
        stored = weight_codes(model, found[conv.name], conv.is_depthwise).astype(np.float64)
        expected = conv.kernel.to_float().astype(np.float64)
        # Below the smallest normal number of float16 its steps are absolute.
        slack = np.maximum(np.abs(expected), _SMALLEST_HALF)
        worst = max(worst, float((np.abs(stored - expected) / slack).max()))
    detail = f"largest relative error {worst:.1e}, allowed {relative_error:.1e}"
    return Check("weights", worst <= relative_error, detail, worst)


def _check_codes(
    model: Any,
    found: dict[str, FileConv],
    learned: ops.Graph,
    silent: set[tuple[str, int]],
) -> Check:
    """Compares every stored weight with its code; weights that are float have none."""
    mismatches = compared = 0
    for conv in learned.convs:
        if conv.kernel.codes is None:
            continue
        live = [c for c in range(conv.kernel.shape[-1]) if (conv.name, c) not in silent]
        stored = weight_codes(model, found[conv.name], conv.is_depthwise)
        mismatches += int(np.count_nonzero(stored[..., live] != conv.kernel.codes[..., live]))
        compared += conv.kernel.codes[..., live].size
    detail = f"{mismatches:,} mismatches of {compared:,} codes in live channels"
    return Check("codes", mismatches == 0 and compared > 0, detail, mismatches)


def _check_scales(found: dict[str, FileConv], quantized: ops.Graph) -> Check:
    worst = 0.0
    for conv in quantized.convs:
        stored = scales(found[conv.name].weights)
        expected = np.broadcast_to(conv.kernel.scale, stored.shape)
        # A BatchNorm with gamma 0 makes scales of 0, which have to be 0 in the file.
        error = np.abs(stored - expected) / np.where(expected == 0, 1, expected)
        worst = max(worst, float(error.max()))
    detail = f"largest relative error {worst:.1e}, allowed {MAX_SCALE_ERROR:.0e}"
    return Check("scales", worst < MAX_SCALE_ERROR, detail, worst)


def _check_biases(model: Any, found: dict[str, FileConv], quantized: ops.Graph) -> Check:
    worst, saturated = 0.0, 0
    for conv in quantized.convs:
        bias = found[conv.name].bias
        codes, steps = tensor_values(model, bias).astype(np.float64), scales(bias)
        # What float32 loses of a large bias before it is rounded is not the file's error.
        slack = _BIAS_SLACK * np.abs(conv.bias) / steps
        worst = max(worst, float((np.abs(codes - conv.bias / steps) - slack).max()))
        saturated += int(np.count_nonzero(np.abs(codes) >= _INT32_MAX))
    detail = f"largest error {worst:.2f} steps, allowed 0.50; {saturated} saturated"
    return Check("biases", worst <= 0.5 and not saturated, detail, worst)


def _check_layers(path: Path, inputs: np.ndarray) -> Check:
    differences = largest_difference(path, inputs)
    worst = max(differences, key=lambda name: differences[name])
    exact = sum(difference == 0 for difference in differences.values())
    detail = (
        f"largest difference {differences[worst]} codes ({worst}), allowed 1; {exact} of "
        f"{len(differences)} operators without any, on {len(inputs)} images"
    )
    return Check("layers", differences[worst] <= 1, detail, differences[worst])


def _check_float_operators(model: Any) -> Check:
    found = float_operators(model)
    detail = ", ".join(found[:4]) + ", ..." * (len(found) > 4) if found else "none"
    return Check("float operators", not found, detail, len(found))
