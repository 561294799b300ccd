"""Makes a folded graph ready for integers: every weight a code, every bias within 32 bits.

Start with `quantize_graph`.
"""

import dataclasses

import numpy as np

from qtdog_tf.errors import UserError
from qtdog_tf.export.calibration import Calibration, Range
from qtdog_tf.export.graph import ops
from qtdog_tf.export.graph.kernels import round_to_int8

INT4_MAX = 7
INT4_BITS = 4
ACTIVATION_STEPS = 255
# A bias is stored in 32 bits, in units of the input's scale times the weights'. From half of what
# fits on, a channel counts as dead: its weights are so small that its bias would overflow.
MAX_BIAS_CODE = 2.0**30
# The converter widens a range of weights that is narrower than this, which changes the codes.
MIN_WEIGHT_RANGE = 1e-6
# Where a dead channel's bias is put instead: exact to a millionth, far from the limit.
_DEAD_BIAS_CODE = 2.0**20


@dataclasses.dataclass(frozen=True)
class DeadChannel:
    """A channel that gives a constant: its weights have next to no effect.

    Attributes:
        layer: name of the operation.
        channel: its number among the layer's outputs.
        scale: step size of its weights, BatchNorm folded.
        constant: what it gives in the file: the mean of its output on the calibration images.
        nonzero_codes: learned codes other than 0 that the file does not hold.
    """

    layer: str
    channel: int
    scale: float
    constant: float
    nonzero_codes: int


def activation_scale(limits: Range) -> float:
    """The step between the 256 codes of an activation."""
    return (limits[1] - limits[0]) / ACTIVATION_STEPS


def quantize_graph(
    graph: ops.Graph, calibration: Calibration, *, weight_bits: int = 8
) -> tuple[ops.Graph, list[DeadChannel]]:
    """Rounds float weights (a head, say) to 8 bits, and silences dead channels.

    Args:
        graph: a folded graph.
        calibration: of this graph.
        weight_bits: 8, or 4 if learned codes are to be stored in 4 bits.

    Returns:
        The graph to convert, and the channels that are dead in it.

    Raises:
        UserError: for codes that 8 bits with a symmetric range cannot hold.
    """
    operations: list[ops.Op] = []
    dead: list[DeadChannel] = []
    for op in round_weights(graph).ops:
        if isinstance(op, ops.Conv):
            op, found = _silence(op, calibration, largest_code(op, weight_bits))
            op = _vary_bias(op)
            dead += found
        operations.append(op)
    return ops.Graph(tuple(operations)), dead


def round_weights(graph: ops.Graph) -> ops.Graph:
    """The graph with float weights rounded to 8 bits, see `round_to_int8`.

    Raises:
        UserError: for learned codes that 8 bits with a symmetric range cannot hold.
    """
    operations: list[ops.Op] = []
    for op in graph.ops:
        if isinstance(op, ops.Conv):
            check_codes(op)
            op = dataclasses.replace(op, kernel=round_to_int8(op.kernel))
        operations.append(op)
    return ops.Graph(tuple(operations))


def largest_code(op: ops.Conv, weight_bits: int) -> int:
    """The end of the range of a layer's weights: 7 for learned codes in 4 bits, else 127."""
    return INT4_MAX if weight_bits == INT4_BITS and op.kernel.learned else ops.INT8_MAX


def check_codes(op: ops.Conv) -> None:
    """Refuses the code -128 of 8-bit weights.

    Raises:
        UserError: if there is one.
    """
    codes = op.kernel.codes
    if codes is not None and int(np.abs(codes).max()) > ops.INT8_MAX:
        raise UserError(
            f"layer {op.layer} uses the code -128, which TFLite's weights do not have: train 8 "
            "bits with --narrow_range=auto (or always), or export --kind=float32"
        )


def check_int4(graph: ops.Graph) -> None:
    """Refuses learned codes that 4 bits with a symmetric range cannot hold.

    Raises:
        UserError: naming the first layer that has them, and how to train for int4.
    """
    how = "train for int4 with --variants=qtdog4 --narrow_range=always (or 2 or 3 bits)"
    learned = [conv for conv in graph.convs if conv.kernel.learned]
    if not learned:
        raise UserError(f"no layer of this model has learned codes: {how}")
    for conv in learned:
        codes = conv.kernel.codes
        assert codes is not None
        if conv.kernel.bits > INT4_BITS:
            raise UserError(
                f"layer {conv.layer} has {conv.kernel.bits}-bit codes, int4 takes 4 at most: {how}"
            )
        if int(np.abs(codes).max()) > INT4_MAX:
            raise UserError(f"layer {conv.layer} uses the code -8, int4 has -7 to 7: {how}")


def _vary_bias(conv: ops.Conv) -> ops.Conv:
    """Makes one bias a float32 larger if all are the same.

    Of a constant the converter stores one code, in the step of one channel, for all channels.
    """
    bias = conv.bias.astype(np.float32)
    if bias[0] == 0 or np.any(bias != bias[0]):
        return conv
    bias[0] = np.nextafter(bias[0], np.float32(np.inf))
    return dataclasses.replace(conv, bias=bias.astype(np.float64))


def _silence(
    conv: ops.Conv, calibration: Calibration, largest: int
) -> tuple[ops.Conv, list[DeadChannel]]:
    kernel = conv.kernel
    assert kernel.codes is not None
    input_scale = activation_scale(calibration.ranges[conv.inputs[0]])
    is_dead = np.abs(conv.bias) >= MAX_BIAS_CODE * input_scale * kernel.scale
    # A BatchNorm with gamma 0 is the extreme of it.
    is_dead |= 2 * largest * kernel.scale < MIN_WEIGHT_RANGE
    if not is_dead.any():
        return conv, []
    constants = calibration.means[conv.name]
    fitting = np.abs(constants) / (_DEAD_BIAS_CODE * input_scale)
    # Of the order of the layer's other scales, so that no requantization factor is extreme.
    usual = fitting.max() if is_dead.all() else np.median(kernel.scale[~is_dead])
    # 1 where all constants are 0.
    scale = np.where(is_dead, np.maximum(fitting, usual or 1.0), kernel.scale)
    codes = np.where(is_dead, 0, kernel.codes).astype(kernel.codes.dtype)
    silenced = dataclasses.replace(
        conv,
        kernel=dataclasses.replace(kernel, scale=scale, codes=codes),
        bias=np.where(is_dead, constants, conv.bias),
    )
    return silenced, [
        DeadChannel(
            layer=conv.name,
            channel=int(c),
            scale=float(kernel.scale[c]),
            constant=float(constants[c]),
            nonzero_codes=int(np.count_nonzero(kernel.codes[..., c])),
        )
        for c in np.flatnonzero(is_dead)
    ]
