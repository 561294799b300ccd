"""Random directions in the space of the weights, and means over them (method, section 7.2).

Directions have length 1 and are of two kinds.

"raw": a Gaussian vector g over all parameters together, d = g / |g|, as in SWAD (Cha et al.,
NeurIPS 2021).

"filter": as in Li et al., "Visualizing the Loss Landscape of Neural Nets", NeurIPS 2018. Each
filter g_j of a kernel gets the norm of the weights' own filter, f_j = g_j |w_j| / |g_j|; a vector
(bias, gamma, beta) counts as one filter, where their code leaves vectors out. Last, d = f / |f|, so
that a radius means the same distance |w' - w| for both kinds. Since |f| = |w|, a move of radius
gamma moves each filter by the same part of its norm, gamma / |w|.

Start from `direction` and `RunningMean`.
"""

import math
from collections.abc import Sequence

import keras
import numpy as np

from qtdog_tf.analysis.weights import learned_weights
from qtdog_tf.quantization.lsq import reduction_axes

RAW, FILTER = "raw", "filter"
KINDS = (RAW, FILTER)

Axes = tuple[int, ...]
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)


def direction(
    weights: Sequence[np.ndarray], axes: Sequence[Axes], kind: str, seed: int, index: int
) -> list[np.ndarray]:
    """A random direction of length 1.

    Args:
        weights: values of the parameters; "raw" looks at their shapes only.
        axes: see `filter_axes`, which "raw" does not look at.
        kind: "raw" or "filter".
        seed: of the sequence of directions.
        index: number of the direction, from 0. Both kinds start from the same Gaussian vector,
            which follows from `seed`, `index` and the shapes.

    Returns:
        float32, of the shapes of `weights`.

    Raises:
        ValueError: for another kind, or "filter" for weights that are all 0.
    """
    if kind not in KINDS:
        raise ValueError(f"kind of direction must be one of {KINDS}, received {kind!r}")
    move = gaussian([np.shape(weight) for weight in weights], seed, index)
    if kind == FILTER:
        triples = zip(move, weights, axes, strict=True)
        move = [filter_normalized(part, weight, kept) for part, weight, kept in triples]
    length = norm(move)
    if length == 0:
        raise ValueError("the weights are all 0, so that no direction has their norms")
    return [(part / length).astype(np.float32) for part in move]


def gaussian(shapes: Sequence[tuple[int, ...]], seed: int, index: int) -> list[np.ndarray]:
    """A standard normal vector over all parameters, in their shapes; float64."""
    sizes = [math.prod(shape) for shape in shapes]
    drawn = np.random.default_rng((seed, index)).standard_normal(sum(sizes))
    parts = np.split(drawn, np.cumsum(sizes)[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def filter_normalized(move: np.ndarray, weight: np.ndarray, axes: Axes) -> np.ndarray:
    """Scales each filter of a direction to the norm of the same filter of the weights.

    Args:
        move: one parameter's part of a direction.
        weight: the parameter, of the same shape.
        axes: that run over the filters, see `filter_axes`; () for one filter.

    Returns:
        float64; 0 in a filter of weights that are all 0.
    """
    within = tuple(reduction_axes(np.ndim(weight), axes))
    norms = [
        np.sqrt(np.sum(np.square(part, dtype=np.float64), axis=within, keepdims=True))
        for part in (weight, move)
    ]
    return move * np.divide(norms[0], norms[1], out=np.zeros_like(norms[0]), where=norms[1] > 0)


def filter_axes(model: keras.Model) -> list[Axes]:
    """For each of `learned_weights`, the axes that run over the filters.

    (-1,) for the kernel of a Conv2D or Dense layer and any other array, (-2, -1) for a depthwise
    kernel [h, w, channels, multiplier], () for a vector or scalar.
    """
    depthwise = {
        id(variable)
        for layer in model._flatten_layers(include_self=False, recursive=True)
        for variable in layer.weights
        # The second is that of a SeparableConv layer.
        if isinstance(layer, _DEPTHWISE) or variable.name == "depthwise_kernel"
    }

    def axes(variable: keras.Variable) -> Axes:
        if len(variable.shape) < 2:
            return ()
        return (-2, -1) if id(variable) in depthwise else (-1,)

    return [axes(variable) for variable in learned_weights(model)]


def norm(arrays: Sequence[np.ndarray]) -> float:
    """The Euclidean norm of all arrays together, in float64."""
    return math.sqrt(sum(float(np.sum(np.square(a, dtype=np.float64))) for a in arrays))


class RunningMean:
    """Mean and standard error of arrays that come one by one, in float64 (Welford's recurrence).

    Attributes:
        count: arrays so far.
        mean: of them.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean: np.ndarray = np.zeros(())
        self._squares: np.ndarray = np.zeros(())

    def add(self, values: np.ndarray) -> None:
        """Takes in an array of the shape of those before."""
        self.count += 1
        before = np.asarray(values, np.float64) - self.mean
        self.mean = self.mean + before / self.count
        self._squares = self._squares + before * (values - self.mean)

    @property
    def standard_error(self) -> np.ndarray:
        """Sample standard deviation / sqrt(count); infinite below two arrays."""
        if self.count < 2:
            return np.full(np.shape(self.mean), np.inf)
        return np.sqrt(self._squares / (self.count - 1) / self.count)
