"""The TensorFlow function that the converter turns into a file.

For integer files every weight and activation passes a fake-quant operation, from which the
converter takes scales; the codes of the file are then exactly those of the graph, since a weight
`code * scale` on a range of +-127 scales has no other code. Start with `save_for_conversion`.
"""

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from qtdog_tf.errors import UserError
from qtdog_tf.export.calibration import Range, has_own_range
from qtdog_tf.export.graph import ops, ops_sequence
from qtdog_tf.export.graph.execute import normalize, run
from qtdog_tf.export.graph.quantize import INT4_BITS, INT4_MAX, activation_scale, largest_code

INPUT, OUTPUT = "image", "probabilities"
# Upper ends of the clips that convolutions and sums have built in.
_FUSED_LIMITS = (6.0, np.inf)
# Steps of a variance that an epsilon may have: rounding changes a variance by up to half a step.
_EPSILON_STEPS = 1 / 8


def save_for_conversion(
    graph: ops.Graph,
    folder: Path,
    *,
    ranges: dict[str, Range] | None = None,
    weight_bits: int = 8,
) -> None:
    """Writes a SavedModel with one signature, from one image to probabilities.

    Args:
        graph: ends in probabilities; quantized if `ranges` are given.
        folder: where.
        ranges: of every operation, for an integer file. The input is then what the graph sees of
            the pixels, with the scale that makes the file's codes the pixels; without ranges it is
            raw pixels, float32.
        weight_bits: 8, or 4 to store learned codes in 4 bits.

    Raises:
        UserError: for an integer file, if a LayerNorm's epsilon is not far below a step.
    """
    if ranges is not None:
        _check_epsilons(graph, ranges)
    module = _Deploy(graph, ranges, weight_bits)
    tf.saved_model.save(module, str(folder), signatures=module.serve)


def _check_epsilons(graph: ops.Graph, ranges: dict[str, Range]) -> None:
    """What `_leave_to_ranges` leaves out must be less than what rounding the variance changes."""
    for op in graph.ops:
        if not isinstance(op, ops_sequence.Rsqrt):
            continue
        variances = ranges[op.inputs[0]]
        allowed = _EPSILON_STEPS * activation_scale(variances)
        if op.epsilon > allowed:
            raise UserError(
                f"layer {op.layer} adds an epsilon of {op.epsilon:g} to variances of at most "
                f"{variances[1]:.2g}, and an integer file leaves it out, which changes little up "
                f"to {allowed:.1g} only: train with a smaller epsilon, or export --kind=dynamic "
                "or float32"
            )


class _Deploy(tf.Module):
    def __init__(self, graph: ops.Graph, ranges: dict[str, Range] | None, weight_bits: int) -> None:
        super().__init__()
        # TensorFlow saves what a module refers to, and finds the variables of Keras layers so.
        layers = [op.operation for op in graph.ops if isinstance(op, ops.KerasCall)]
        self.variables_of_layers = [v.value for x in layers for v in getattr(x, "variables", ())]
        spec = tf.TensorSpec([1, *graph.image.shape], tf.float32, name=INPUT)

        @tf.function(input_signature=[spec], autograph=False)
        def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
            if ranges is None:
                return {OUTPUT: run(graph, normalize(graph.image, image))}
            return {OUTPUT: _run_fake_quantized(graph, image, ranges, weight_bits)}

        self.serve = serve


def _run_fake_quantized(
    graph: ops.Graph, image: tf.Tensor, ranges: dict[str, Range], weight_bits: int
) -> tf.Tensor:
    graph = ops.Graph(tuple(_leave_to_ranges(op) for op in graph.ops))
    same_weights: Counter[bytes] = Counter()

    def output(op: ops.Op, value: Any) -> Any:
        if not has_own_range(op):
            return value
        low, high = ranges[op.name]
        return tf.quantization.fake_quant_with_min_max_vars(
            value, np.float32(low), np.float32(high)
        )

    def kernel(conv: ops.Conv) -> Any:
        largest = largest_code(conv, weight_bits)
        scale = conv.kernel.scale.astype(np.float32)
        weights = conv.kernel.to_float()
        # Of equal weights (a layer used twice, a norm whose gamma is 1) the converter makes one,
        # whose codes are not ours then. The scale of another channel that differs in its last bit
        # keeps them apart.
        before = same_weights[weights.tobytes()]
        same_weights[weights.tobytes()] += 1
        nudges = np.bincount(np.arange(before) % len(scale), minlength=len(scale))
        scale = scale * (1 + nudges * np.finfo(np.float32).eps).astype(np.float32)
        return tf.quantization.fake_quant_with_min_max_vars_per_channel(
            tf.constant(weights),
            -largest * scale,
            largest * scale,
            num_bits=INT4_BITS if largest == INT4_MAX else 8,
            narrow_range=True,
        )

    return run(graph, image, kernel=kernel, output=output)


def _leave_to_ranges(op: ops.Op) -> ops.Op:
    """Leaves the upper end of a clip, and LayerNorm's epsilon, to the ranges of the outputs.

    A range ends at the clip at the latest. ReLU and ReLU6 are kept: the converter fuses them, and
    no other. An epsilon far below a step of the variance changes nothing, see `_check_epsilons`; of
    0 the file's kernel gives the upper end of the range.
    """
    if isinstance(op, ops_sequence.Rsqrt):
        return dataclasses.replace(op, epsilon=0.0)
    if not isinstance(op, ops.Conv | ops.Add | ops.Clip) or op.clip[1] in _FUSED_LIMITS:
        return op
    return dataclasses.replace(op, clip=(op.clip[0], np.inf))
