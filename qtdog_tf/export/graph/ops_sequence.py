"""Operations of the deploy graph on tokens, [tokens, channels]: what transformers need.

LayerNorm and attention are lists of these, each with a range of its own, so that an integer file
holds no float operator. Start with `layer_norm` and `self_attention`.
"""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from qtdog_tf.export.graph.ops import Affine, Common, Move, Multiply, Op, Reshape, Softmax


@dataclasses.dataclass(frozen=True, eq=False)
class Constant(Op):
    """An array, float32 [tokens, channels]: learned positions."""

    values: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Slice(Move):
    """A part of the size of `shape` that starts at `begin`."""

    begin: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Transpose(Move):
    """Axes in another order, counted without the batch axis."""

    order: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class MatMul(Op):
    """Matrix product of two computed tensors over their last two axes.

    Attributes:
        transpose: whether the second is transposed before.
    """

    transpose: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class Gelu(Op):
    """`x * Phi(x)` with the exact distribution function of the standard normal."""


@dataclasses.dataclass(frozen=True, eq=False)
class Subtract(Op):
    """Difference of two tensors; an axis of length 1 is stretched to the other's."""


@dataclasses.dataclass(frozen=True, eq=False)
class Mean(Op):
    """Mean over the channels; the axis stays, as 1."""


@dataclasses.dataclass(frozen=True, eq=False)
class Rsqrt(Op):
    """`1 / sqrt(x + epsilon)`."""

    epsilon: float = 0.0


def compute(op: Op, inputs: list[Any]) -> Any:
    """The output of one of these operations, in TensorFlow; None for any other."""
    match op:
        case Constant():
            return tf.constant(op.values[None])
        case Slice():
            return tf.slice(inputs[0], (0, *op.begin), (-1, *op.shape))
        case Transpose():
            return tf.transpose(inputs[0], (0, *(axis + 1 for axis in op.order)))
        case MatMul():
            return tf.matmul(inputs[0], inputs[1], transpose_b=op.transpose)
        case Gelu():
            return tf.nn.gelu(inputs[0], approximate=False)
        case Subtract():
            return inputs[0] - inputs[1]
        case Mean():
            return tf.reduce_mean(inputs[0], -1, keepdims=True)
        case Rsqrt():
            shifted = inputs[0] + np.float32(op.epsilon) if op.epsilon else inputs[0]
            return tf.math.rsqrt(shifted)
    return None


def layer_norm(common: Common, gamma: np.ndarray, beta: np.ndarray, epsilon: float) -> list[Op]:
    """(x - mean) * rsqrt(variance + epsilon) * gamma + beta, step by step.

    Args:
        common: name, inputs, shape [tokens, channels] and layer.
        gamma: float64 [channels].
        beta: float64 [channels].
        epsilon: added to the variance.
    """
    name, (source,), shape, layer = common
    one, rows = (*shape[:-1], 1), (shape[0], 1, shape[-1])

    def part(kind: type[Op], what: str, inputs: tuple[str, ...], of: Any, **values: Any) -> Op:
        return kind(f"{name}.{what}", inputs, of, layer, **values)

    mean = part(Mean, "mean", (source,), one)
    centred = part(Subtract, "centred", (source, mean.name), shape)
    square = part(Multiply, "square", (centred.name, centred.name), shape)
    variance = part(Mean, "variance", (square.name,), one)
    factor = part(Rsqrt, "rsqrt", (variance.name,), one, epsilon=epsilon)
    normed = part(Multiply, "normed", (centred.name, factor.name), shape)
    as_rows = part(Reshape, "in", (normed.name,), rows)
    affine = part(Affine, "affine", (as_rows.name,), rows, scale=gamma, offset=beta)
    last = Reshape(name, (affine.name,), shape, layer)
    return [mean, centred, square, variance, factor, normed, as_rows, affine, last]


def self_attention(common: Common, heads: int) -> list[Op]:
    """softmax(q k^T / sqrt(d)) v in each head, of [tokens, 3 * width] (see `SelfAttention`).

    The factor 1 / sqrt(d) stands before the split, where it goes into the step sizes of the dense
    layer that made the queries; its codes stay what they are.

    Args:
        common: name, inputs, shape [tokens, width] and layer.
        heads: number of heads.
    """
    name, inputs, (tokens, width), layer = common
    depth, rows = width // heads, (tokens, 1, 3 * width)
    scale = np.where(np.arange(3 * width) < width, depth**-0.5, 1.0)
    found: list[Op] = [
        Reshape(f"{name}.in", inputs, rows, layer),
        Affine(f"{name}.scale", (f"{name}.in",), rows, layer, scale, np.zeros(3 * width)),
        Reshape(f"{name}.qkv", (f"{name}.scale",), (tokens, 3 * width), layer),
    ]
    for number, part in enumerate(("queries", "keys", "values")):
        cut, split = f"{name}.{part}.cut", f"{name}.{part}.split"
        begin, of_heads = (0, number * width), (heads, tokens, depth)
        found += [
            Slice(cut, (f"{name}.qkv",), (tokens, width), layer, begin),
            Reshape(split, (cut,), (tokens, heads, depth), layer),
            Transpose(f"{name}.{part}", (split,), of_heads, layer, (1, 0, 2)),
        ]
    queries, keys, values = (f"{name}.{part}" for part in ("queries", "keys", "values"))
    square, mixed = (heads, tokens, tokens), (heads, tokens, depth)
    return [
        *found,
        MatMul(f"{name}.logits", (queries, keys), square, layer, transpose=True),
        Softmax(f"{name}.weights", (f"{name}.logits",), square, layer),
        MatMul(f"{name}.mixed", (f"{name}.weights", values), mixed, layer),
        Transpose(f"{name}.heads", (f"{name}.mixed",), (tokens, heads, depth), layer, (1, 0, 2)),
        Reshape(name, (f"{name}.heads",), (tokens, width), layer),
    ]
