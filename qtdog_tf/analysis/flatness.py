"""Local flatness: how much the loss rises at a distance gamma from the weights.

    F_gamma(w) = E_{|w' - w| = gamma} [E(w') - E(w)]            (paper, eq. 5; method, section 7.2)

by Monte Carlo: w' = w + gamma d for random directions d, each of which serves all radii and all
roles. Flat minima have a small F. Start from `flatness`.
"""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from qtdog_tf.analysis import directions
from qtdog_tf.analysis.loss import BATCH_SIZE, RoleLoss, restored
from qtdog_tf.analysis.samples import Sample
from qtdog_tf.analysis.weights import dequantize, learned_weights, put_on_lattice
from qtdog_tf.errors import UserError
from qtdog_tf.quantization import is_quantized, quantize_wrappers
from qtdog_tf.quantization.wrapper import FREEZING_MODES
from qtdog_tf.settings import Settings, setting

DEQUANTIZED, REROUNDED = "dequantized", "rerounded"
WEIGHT_KINDS = (DEQUANTIZED, REROUNDED)


@dataclasses.dataclass(frozen=True)
class FlatnessSettings(Settings):
    """How local flatness is measured.

    Raises:
        UserError: for a value that is not allowed, naming the setting.
    """

    radii: tuple = setting(
        tuple(float(radius) for radius in range(0, 61, 5)),
        "Distances gamma from the weights, rising (SWAD and the paper: 0, 5, ..., 60).",
    )
    max_directions: int = setting(100, "Directions at most (paper: 100).", at_least=2)
    min_directions: int = setting(5, "Directions at least.", at_least=2)
    tolerance: float = setting(
        0.05,
        "Stop when the standard error at the last radius is at most this part of the mean, for "
        "every role.",
        at_least=0.0,
    )
    direction_kinds: tuple = setting(
        directions.KINDS,
        "raw: Gaussian over all parameters (SWAD). filter: with the norms of the filters (Li et "
        "al.).",
    )
    weight_kinds: tuple = setting(
        (DEQUANTIZED,),
        "dequantized: a move is not rounded. rerounded: it is, to the lattice that it starts from.",
    )
    seed: int = setting(0, "Seed of the directions.", at_least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "radii", _rising(self.radii))
        if self.min_directions > self.max_directions:
            raise UserError(
                f"min_directions ({self.min_directions}) must be at most max_directions "
                f"({self.max_directions})"
            )
        allowed = {"direction_kinds": directions.KINDS, "weight_kinds": WEIGHT_KINDS}
        for name, kinds in allowed.items():
            value = getattr(self, name)
            if not value or len(set(value)) < len(value) or not set(value) <= set(kinds):
                raise UserError(
                    f"{name} must be one or more different ones of {', '.join(kinds)}; received "
                    f"{value}"
                )


def flatness(
    model: keras.Model,
    samples: Sequence[Sample],
    settings: FlatnessSettings | None = None,
    *,
    batch_size: int = BATCH_SIZE,
    on_direction: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Measures F_gamma on the training images of the sources and on the targets.

    Args:
        model: freshly loaded. It is used up: its weights lie on their lattice afterwards, and
            quantization is off unless only "rerounded" was asked for.
        samples: what `read_samples` returned.
        settings: default `FlatnessSettings()`.
        batch_size: images at once.
        on_direction: called after each direction with the number of directions done so far, those
            of all kinds together; at most max_directions of each pair of kinds.

    Returns:
        Plain values: "radii"; "images" by role; "norm", |w| of the dequantized weights;
        "parameters", their number; and "curves", one for each kind of "weights", of "direction" and
        "role": "loss", E(w); "mean" and "standard_error" of E(w') - E(w) at each radius, with E the
        mean over the role's domains; "directions", their number; "converged", whether this role
        reached the tolerance. A float model has no lattice, and so no "rerounded" curve.

    Raises:
        UserError: if there are no images, the loss at a radius is not finite, or nothing but
            "rerounded" is asked of a float model.
    """
    settings = settings or FlatnessSettings()
    kinds = [k for k in settings.weight_kinds if k == DEQUANTIZED or is_quantized(model)]
    if not kinds:
        raise UserError("a float model has no lattice: its flatness is that of dequantized weights")
    numbers = itertools.count(1)
    report = on_direction or (lambda _: None)
    found = {}
    # The model can be dequantized after it was rounded, not the other way round.
    for weights in sorted(kinds, reverse=True):
        prepare(model, weights)
        loss = RoleLoss(model, samples, batch_size)
        found[weights] = [
            {"weights": weights, **curve}
            for kind in settings.direction_kinds
            for curve in _curves(model, loss, kind, settings, lambda: report(next(numbers)))
        ]
    values = [variable.numpy() for variable in learned_weights(model)]
    return {
        "radii": list(settings.radii),
        "images": loss.images,
        "norm": directions.norm(values),
        "parameters": sum(value.size for value in values),
        "curves": [curve for weights in kinds for curve in found[weights]],
    }


def prepare(model: keras.Model, weights: str) -> None:
    """Puts the weights on their lattice, and quantization off unless `weights` is "rerounded".

    The model computes what it did. What was frozen for quantization counts as learned again.
    """
    if weights == DEQUANTIZED:
        dequantize(model)
        return
    put_on_lattice(model)
    for wrapper in quantize_wrappers(model):
        if wrapper.mode in FREEZING_MODES:
            wrapper.set_mode("train" if wrapper.quantizes else "off")


def _curves(
    model: keras.Model,
    loss: RoleLoss,
    kind: str,
    settings: FlatnessSettings,
    done: Callable[[], None],
) -> list[dict[str, Any]]:
    """F_gamma of each role along directions of one kind; all roles see the same directions."""
    variables, axes = learned_weights(model), directions.filter_axes(model)
    rises = directions.RunningMean()
    with restored(variables) as values:
        start = loss()
        converged = np.zeros(len(start), bool)
        while rises.count < settings.max_directions:
            move = directions.direction(values, axes, kind, settings.seed, rises.count)
            # Not measured at 0: a second measurement may differ in the last bit.
            losses = [
                _loss_at(variables, values, move, radius, loss) if radius else start
                for radius in settings.radii
            ]
            rises.add(np.stack(losses, axis=1) - start[:, np.newaxis])
            done()
            error, mean = rises.standard_error[:, -1], rises.mean[:, -1]
            converged = error <= settings.tolerance * np.abs(mean)
            if rises.count >= settings.min_directions and converged.all():
                break
    return [
        {
            "role": role,
            "direction": kind,
            "loss": float(start[i]),
            "mean": rises.mean[i].tolist(),
            "standard_error": rises.standard_error[i].tolist(),
            "directions": rises.count,
            "converged": bool(converged[i]),
        }
        for i, role in enumerate(loss.roles)
    ]


def _loss_at(
    variables: Sequence[keras.Variable],
    values: Sequence[np.ndarray],
    move: Sequence[np.ndarray],
    radius: float,
    loss: RoleLoss,
) -> np.ndarray:
    for variable, value, part in zip(variables, values, move, strict=True):
        variable.assign(value + np.float32(radius) * part)
    measured = loss()
    if not np.isfinite(measured).all():
        raise UserError(
            f"the loss at radius {radius:g} is not finite and has no mean: give smaller radii"
        )
    return measured


def _rising(values: Sequence[Any]) -> tuple[float, ...]:
    """The radii as numbers; flags hand over words."""
    with contextlib.suppress(ValueError):
        radii = tuple(float(value) for value in values)
        if radii and radii[0] >= 0 and np.isfinite(radii).all() and (np.diff(radii) > 0).all():
            return radii
    raise UserError(
        "radii must be one or more numbers, rising from 0 or more; received "
        f"{', '.join(map(str, values))}"
    )
