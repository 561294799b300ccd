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
        check_codes(model, found, learned, quantized, silent),
        check_scales(found, quantized),
        _check_biases(model, found, quantized),
        _check_layers(path, inputs),
        _check_float_operators(model),
    ]


def check_codes(
    model: Any,
    found: dict[str, FileConv],
    learned: ops.Graph,
    quantized: ops.Graph,
    silent: set[tuple[str, int]],
) -> Check:
    """Compares every stored weight with its code.

    A learned code is compared as it was learned; what export itself made, of float weights and of
    dead channels, with what it made.
    """
    mismatches = compared = 0
    as_learned = {conv.name: conv.kernel.codes for conv in learned.convs}
    for conv in quantized.convs:
        assert conv.kernel.codes is not None
        expected, codes = conv.kernel.codes.copy(), as_learned[conv.name]
        live = [c for c in range(expected.shape[-1]) if (conv.name, c) not in silent]
        if codes is not None:
            expected[..., live] = codes[..., live]
        stored = weight_codes(model, found[conv.name], conv.is_depthwise)
        mismatches += int(np.count_nonzero(stored != expected))
        compared += expected.size
    detail = f"{mismatches:,} mismatches of {compared:,} codes"
    return Check("codes", mismatches == 0 and compared > 0, detail, mismatches)


def check_scales(found: dict[str, FileConv], quantized: ops.Graph) -> Check:
    """Compares the step size of every channel of every layer with the graph's."""
    errors = []
    for conv in quantized.convs:
        stored = scales(found[conv.name].weights)
        expected = np.broadcast_to(conv.kernel.scale, stored.shape)
        # A BatchNorm with gamma 0 makes scales of 0, which have to be 0 in the file.
        error = np.abs(stored - expected) / np.where(expected == 0, 1, expected)
        errors.append(float(error.max()))
    worst = largest(errors)
    detail = f"largest relative error {worst:.1e}, allowed {MAX_SCALE_ERROR:.0e}"
    return Check("scales", worst < MAX_SCALE_ERROR, detail, worst)


def largest(errors: Sequence[float]) -> float:
    """The largest error; no number, which no limit allows, if one of them is none."""
    return float(np.max(errors, initial=0.0))


def _check_biases(model: Any, found: dict[str, FileConv], quantized: ops.Graph) -> Check:
    errors, saturated = [], 0
    for conv in quantized.convs:
        bias = found[conv.name].bias
        codes, steps = tensor_values(model, bias).astype(np.float64), scales(bias)
        # What float32 loses of a large bias before it is rounded is not the file's error.
        slack = _BIAS_SLACK * np.abs(conv.bias) / steps
        errors.append(float((np.abs(codes - conv.bias / steps) - slack).max()))
        saturated += int(np.count_nonzero(np.abs(codes) >= _INT32_MAX))
    worst = largest(errors)
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
