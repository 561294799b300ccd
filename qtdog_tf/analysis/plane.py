"""The loss on the plane through the weights of three models (method, section 7.3).

As in SWAD (Cha et al., NeurIPS 2021) and Garipov et al., "Loss Surfaces, Mode Connectivity", 2018:
with u = w2 - w1 and v = w3 - w1 minus its part along u, both brought to length 1, the point (x, y)
is w1 + x u + y v. Distances on the plane are distances of weights. Start from `loss_plane`.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from qtdog_tf.analysis.loss import BATCH_SIZE, RoleLoss, at_most
from qtdog_tf.analysis.samples import Sample
from qtdog_tf.analysis.weights import dequantize, learned_weights
from qtdog_tf.errors import UserError
from qtdog_tf.quantization.quantizer import is_step_size
from qtdog_tf.settings import Settings, setting

# Weights are float32: a point that is this near to a line, as a part of its distance, is on it.
_FLAT = 1e-4


@dataclasses.dataclass(frozen=True)
class PlaneSettings(Settings):
    """How the plane is measured. A value that is not allowed raises UserError, naming it."""

    margin: float = setting(
        0.6, "How far the grid reaches beyond the points, as a part of their extent.", at_least=0.0
    )
    resolution: float = setting(
        15.0, "Points of the grid over that extent (33 with margins on both sides).", at_least=2.0
    )
    images: int = setting(3000, "Images of each role at most (SWAD: 3000).", at_least=1)
    seed: int = setting(0, "Chooses the images.", at_least=0)

    @property
    def side(self) -> int:
        """Points of the grid along an axis: floor((1 + 2 margin) resolution)."""
        # A product such as 2.2 * 15 may come out just below the integer that it is.
        return math.floor((1 + 2 * self.margin) * self.resolution + 1e-9)


@dataclasses.dataclass(frozen=True, eq=False)
class Plane:
    """A plane in the space of the weights.

    Attributes:
        origin: the first point, float64 [n].
        axes: orthonormal, float64 [2, n].
        points: coordinates of the three points, float64 [3, 2]: (0, 0), (x2, 0) and (x3, y3) with
            x2 and y3 above 0.
    """

    origin: np.ndarray
    axes: np.ndarray
    points: np.ndarray

    def at(self, x: float, y: float) -> np.ndarray:
        """The weights at a point, float64 [n]."""
        return self.origin + x * self.axes[0] + y * self.axes[1]


def span_plane(vectors: Sequence[np.ndarray], labels: Sequence[str]) -> Plane:
    """The plane through three points, by Gram-Schmidt in float64.

    Args:
        vectors: three, float [n].
        labels: what to call them.

    Raises:
        UserError: if they lie on a line.
    """
    first, second, third = (np.asarray(vector, np.float64) for vector in vectors)
    u, v = second - first, third - first
    width, far = np.linalg.norm(u), np.linalg.norm(v)
    u = u / (width or 1.0)
    x = u @ v
    v = v - x * u
    v = v - (u @ v) * u  # once more, for what rounding left
    height = np.linalg.norm(v)
    if min(width, height) <= _FLAT * max(width, far):
        raise UserError(
            f"{', '.join(labels)} lie on a line and define no plane: choose three models of which "
            "none is an average of the others"
        )
    points = np.array([[0.0, 0.0], [width, 0.0], [x, height]])
    return Plane(first, np.stack([u, v / height]), points)


def grid_axis(coordinates: np.ndarray, settings: PlaneSettings) -> np.ndarray:
    """The grid's places on one axis.

    Args:
        coordinates: of the three points, float [3].
        settings: how far the grid reaches, and how fine it is.

    Returns:
        float64 [side], both ends included; 33 for margin 0.6 and resolution 15.
    """
    low, high = coordinates.min(), coordinates.max()
    reach = settings.margin * (high - low)
    return np.linspace(low - reach, high + reach, settings.side)


def loss_plane(
    models: Sequence[keras.Model],
    labels: Sequence[str],
    samples: Sequence[Sample],
    settings: PlaneSettings | None = None,
    *,
    batch_size: int = BATCH_SIZE,
    on_point: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Measures the loss of each role on a grid around three models.

    Args:
        models: three with equal learned weights, by names and shapes, freshly loaded: they are
            used up. A quantized model counts by its dequantized weights, and nothing is rounded
            on the way.
        labels: what to call them.
        samples: what `read_samples` returned for one of the runs.
        settings: default `PlaneSettings()`.
        batch_size: images at once.
        on_point: called after each point with the number of points so far.

    Returns:
        Plain values: "points" with "label", "x", "y"; "x" and "y", the grid's places; "grids" with
        "role" and "loss" [y][x], nats; "images", how many in all.

    Raises:
        UserError: if the models do not fit together, or lie on a line, or a loss is not finite.
        ValueError: if there are not three models and labels.
    """
    if not len(models) == len(labels) == 3:
        raise ValueError(f"a plane needs 3 models and labels, received {len(models)}")
    settings = settings or PlaneSettings()
    for model in models:
        dequantize(model)
    _check_alike(models, labels)
    plane = span_plane([_vector(model) for model in models], labels)
    x, y = (grid_axis(plane.points[:, i], settings) for i in range(2))
    loss = RoleLoss(models[0], at_most(samples, settings.images, settings.seed), batch_size)
    losses = np.empty((len(loss.roles), len(y), len(x)))
    for done, (row, column) in enumerate(itertools.product(range(len(y)), range(len(x))), 1):
        _assign(models[0], plane.at(float(x[column]), float(y[row])))
        losses[:, row, column] = measured = loss()
        if not np.isfinite(measured).all():
            raise UserError("a loss on the plane is not finite: give a smaller margin")
        if on_point is not None:
            on_point(done)
    places = zip(labels, plane.points.tolist(), strict=True)
    return {
        "points": [{"label": label, "x": px, "y": py} for label, (px, py) in places],
        "x": x.tolist(),
        "y": y.tolist(),
        "grids": [
            {"role": role, "loss": grid.tolist()}
            for role, grid in zip(loss.roles, losses, strict=True)
        ],
        "images": sum(loss.images.values()),
    }


def _check_alike(models: Sequence[keras.Model], labels: Sequence[str]) -> None:
    first, *others = models
    for model, label in zip(others, labels[1:], strict=True):
        if _shapes(learned_weights(model)) != _shapes(learned_weights(first)):
            raise UserError(
                f"{label} has other weights than {labels[0]}, by names or shapes: a plane needs "
                "three models of one architecture and the same classes"
            )
        fixed, wanted = _fixed(model), _fixed(first)
        alike = _shapes(fixed) == _shapes(wanted) and all(
            np.array_equal(ours.numpy(), theirs.numpy())
            for ours, theirs in zip(fixed, wanted, strict=True)
        )
        if not alike:
            raise UserError(
                f"{label} differs from {labels[0]} in what is not learned, such as BatchNorm's "
                "statistics: a plane needs models that were trained with frozen statistics from "
                "the same weights"
            )


def _shapes(variables: Sequence[keras.Variable]) -> list[tuple[str, tuple[int, ...]]]:
    return [(variable.path, tuple(variable.shape)) for variable in variables]


def _fixed(model: keras.Model) -> list[keras.Variable]:
    """What a model computes with beside its learned weights: BatchNorm's statistics above all."""
    return [
        variable
        for variable in model.non_trainable_variables
        # Dropout's seeds are integers, and step sizes do nothing in a dequantized model.
        if keras.backend.is_float_dtype(variable.dtype) and not is_step_size(variable)
    ]


def _vector(model: keras.Model) -> np.ndarray:
    return np.concatenate([variable.numpy().ravel() for variable in learned_weights(model)])


def _assign(model: keras.Model, vector: np.ndarray) -> None:
    start = 0
    for variable in learned_weights(model):
        size = math.prod(variable.shape)
        variable.assign(vector[start : start + size].reshape(variable.shape))
        start += size
