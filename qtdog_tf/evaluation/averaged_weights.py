"""One model whose weights are the mean of those of several runs (DiWA); which runs may be."""

from collections.abc import Callable, Sequence

import keras
import numpy as np

from qtdog_tf.averaging.uniform import average_models
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation.run_folder import Run
from qtdog_tf.files import read_json
from qtdog_tf.training.batch_statistics import learning_layers, measure_statistics

# Images of a batch whose statistics count as one.
_BATCH = 64

DrawPixels = Callable[[Run], np.ndarray]


def check_initialization(runs: Sequence[Run]) -> None:
    """Refuses runs whose weights have no common origin: their mean would be no good model."""
    found: dict[str, Run] = {}
    for run in runs:
        initialization = read_json(run.path / "run.json").get("initialization")
        if not initialization:
            raise UserError(
                f"run {run.path} does not say with which weights its training began, since an "
                "older version trained it: train it again, or average predictions by "
                "python -m tools.ensemble"
            )
        found.setdefault(initialization, run)
    if len(found) > 1:
        first, other = list(found.values())[:2]
        raise UserError(
            f"the weights of {first.path} and {other.path} cannot be averaged, since their "
            "training began with different ones: train them with --shared_initialization, or "
            "average predictions by python -m tools.ensemble"
        )


def average_weights(
    runs: Sequence[Run], members: Sequence[keras.Model], draw_pixels: DrawPixels | None
) -> keras.Model:
    """`average_models`, with statistics of BatchNorm that fit the averaged weights.

    Args:
        runs: of the members.
        members: their models.
        draw_pixels: returns training images of a run, uint8 [n, S, S, 3]; called with the first one
            if the models have statistics that learned.

    Raises:
        UserError: if the models do not fit each other, or images are needed and cannot be drawn.
    """
    average = average_models(members)
    if learning_layers(average):
        if draw_pixels is None:
            raise UserError(
                f"the models of {runs[0].path} and others have BatchNorm statistics that learned, "
                "which are measured anew on training images for averaged weights, and none are "
                "given"
            )
        pixels = draw_pixels(runs[0])
        measure_statistics(average, (pixels[i : i + _BATCH] for i in range(0, len(pixels), _BATCH)))
    return average
