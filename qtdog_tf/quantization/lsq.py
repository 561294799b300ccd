"""Learned step size quantization (LSQ): the arithmetic, as pure functions.

For a weight tensor `w` and a step size `s` per output channel (method, eq. 1 to 3):

    u   = w / s                       position on the lattice, in units of the step size
    code = round(clip(u, q_min, q_max))     integers; round half to even
    w_q = s * code                    what the layer computes with

and backwards, for an upstream gradient G = dL/dw_q:

    dL/dw = G              where q_min <= u <= q_max, else 0
    dL/ds = g * sum_channel G * r,   r = code - u inside, q_min below, q_max above

Start from `fake_quantize`. Every other part of the package that needs codes (reports, export,
parity checks) calls `codes`, so that one division and one rounding decide them all: `w / s` and
`w * (1 / s)` differ in one code of some millions.

References: Esser et al., "Learned Step Size Quantization", ICLR 2020; Javed et al., "QT-DoG",
ICML 2025, section 3.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import tensorflow as tf

MIN_BITS = 2
MAX_BITS = 8

INIT_RULES = ("mean", "max")
GRAD_SCALE_RULES = ("tensor", "channel", "none")

# A step size must stay positive: at 0 the division is undefined, below 0 the codes change sign.
# 1e-8 is far below any step size seen in practice (1e-3 to 1e-2).
MIN_STEP_SIZE = 1e-8


@dataclasses.dataclass(frozen=True)
class CodeRange:
    """The integers that a weight may take.

    Attributes:
        bits: bit width, 2 to 8.
        narrow_range: drop the lowest integer, so that the range is symmetric. Default: only at
            8 bits, where int8 files need it (a folded BatchNorm of negative scale flips the sign
            of a channel, and -128 has no opposite in int8).

    Raises:
        ValueError: if `bits` is not an integer from 2 to 8.
    """

    bits: int = 7
    narrow_range: bool | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.bits, int) or not MIN_BITS <= self.bits <= MAX_BITS:
            raise ValueError(
                f"bits must be an integer from {MIN_BITS} to {MAX_BITS}, received {self.bits!r}"
            )
        if self.narrow_range is None:
            object.__setattr__(self, "narrow_range", self.bits == MAX_BITS)

    @property
    def q_max(self) -> int:
        """The largest code, Q_P = 2^(bits-1) - 1."""
        return 2 ** (self.bits - 1) - 1

    @property
    def q_min(self) -> int:
        """The smallest code, -Q_N = -2^(bits-1); one more with `narrow_range`."""
        return -self.q_max if self.narrow_range else -(2 ** (self.bits - 1))


def reduction_axes(rank: int, channel_axes: Sequence[int]) -> list[int]:
    """The axes of a rank-`rank` tensor that share one step size: all but `channel_axes`."""
    kept = {axis % rank for axis in channel_axes}
    return [axis for axis in range(rank) if axis not in kept]


def step_size_shape(weight_shape: Sequence[int], channel_axes: Sequence[int]) -> tuple[int, ...]:
    """Shape of the step size, broadcastable to the weight: 1 on every axis that shares it.

    Example: a Conv2D kernel (3, 3, 64, 128) with `channel_axes=(-1,)` gives (1, 1, 1, 128); an
    empty `channel_axes` (one step size a layer) gives (1, 1, 1, 1).
    """
    shared = reduction_axes(len(weight_shape), channel_axes)
    return tuple(1 if axis in shared else int(size) for axis, size in enumerate(weight_shape))


def initial_step_size(
    weight: tf.Tensor, code_range: CodeRange, channel_axes: Sequence[int], rule: str = "mean"
) -> tf.Tensor:
    """The step size that quantization starts from, taken from the weights at that moment.

    Args:
        weight: float tensor.
        code_range: the codes in use.
        channel_axes: axes that have step sizes of their own; empty for one a layer.
        rule: "mean" (LSQ and QT-DoG): 2 * mean|w| / sqrt(Q_P). "max": max|w| / Q_P, which clips
            nothing and injects 2.5 to 3 times less noise at 7 bits.

    Returns:
        Float32 tensor of shape `step_size_shape(weight.shape, channel_axes)`, at least 1e-8 (an
        all-zero channel has no scale of its own).

    Raises:
        ValueError: for an unknown rule.
    """
    magnitude = tf.abs(tf.cast(weight, tf.float32))
    axes = reduction_axes(len(weight.shape), channel_axes)
    if rule == "mean":
        mean = tf.reduce_mean(magnitude, axes, keepdims=True)
        step_size = 2.0 * mean / math.sqrt(code_range.q_max)
    elif rule == "max":
        step_size = tf.reduce_max(magnitude, axes, keepdims=True) / code_range.q_max
    else:
        raise ValueError(f"init rule must be one of {INIT_RULES}, received {rule!r}")
    return tf.maximum(step_size, MIN_STEP_SIZE)


def gradient_scale(
    weight_shape: Sequence[int],
    code_range: CodeRange,
    channel_axes: Sequence[int],
    rule: str = "tensor",
) -> float:
    """The factor g on the step size's gradient.

    Args:
        weight_shape: shape of the weight.
        code_range: the codes in use.
        channel_axes: axes that have step sizes of their own.
        rule: "tensor" (released code): 1 / sqrt(N * Q_P) with N the size of the whole tensor, even
            per channel. "channel": N is the number of weights that share a step size. "none": 1.

    Raises:
        ValueError: for an unknown rule.
    """
    size = math.prod(weight_shape)
    if rule == "tensor":
        return 1.0 / math.sqrt(size * code_range.q_max)
    if rule == "channel":
        sharing = size // math.prod(step_size_shape(weight_shape, channel_axes))
        return 1.0 / math.sqrt(sharing * code_range.q_max)
    if rule == "none":
        return 1.0
    raise ValueError(f"grad scale rule must be one of {GRAD_SCALE_RULES}, received {rule!r}")


def codes(weight: tf.Tensor, step_size: tf.Tensor, code_range: CodeRange) -> tf.Tensor:
    """The integers of `weight` on its lattice, as a float tensor of the weight's shape.

    Computed in float32 whatever the weight's dtype: bfloat16 cannot hold the quotient.
    """
    position = tf.cast(weight, tf.float32) / tf.cast(step_size, tf.float32)
    return tf.round(tf.clip_by_value(position, code_range.q_min, code_range.q_max))


def fake_quantize(
    weight: tf.Tensor,
    step_size: tf.Tensor,
    code_range: CodeRange,
    channel_axes: Sequence[int] = (-1,),
    grad_scale: float = 1.0,
) -> tf.Tensor:
    """Rounds `weight` to its lattice; gradients by the closed form of LSQ.

    The backward pass recomputes `w / s` instead of keeping tensors of the weight's size from the
    forward pass, and is 2 to 3 times cheaper than the composed straight-through form.

    Args:
        weight: float32 tensor.
        step_size: float32 tensor of shape `step_size_shape(weight.shape, channel_axes)`, positive.
        code_range: the codes in use.
        channel_axes: axes that have step sizes of their own; empty for one a layer.
        grad_scale: factor on the step size's gradient, see `gradient_scale`.

    Returns:
        `step_size * codes(weight, step_size, code_range)`, of the weight's shape.

    Example:
        >>> weight = tf.constant([[-1.0, 0.26, 9.0]])
        >>> fake_quantize(weight, tf.constant([[0.5, 0.5, 0.5]]), CodeRange(3)).numpy()
        array([[-1. ,  0.5,  1.5]], dtype=float32)
    """
    axes = reduction_axes(len(weight.shape), channel_axes)

    @tf.custom_gradient
    def rounded(w: tf.Tensor, s: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            position = w / s
            clipped = tf.clip_by_value(position, code_range.q_min, code_range.q_max)
            inside = tf.equal(position, clipped)
            # Outside, the clipped position is the bound itself: q_min or q_max.
            slope = tf.round(clipped) - tf.where(inside, position, 0.0)
            step_gradient = tf.reduce_sum(upstream * slope, axes, keepdims=True) * grad_scale
            return tf.where(inside, upstream, 0.0), step_gradient

        return s * codes(w, s, code_range), gradient

    return rounded(weight, step_size)
