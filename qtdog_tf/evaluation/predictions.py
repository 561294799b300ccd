"""Evaluates a model of a run on chosen images, domain by domain. Start from `evaluate_run`."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from qtdog_tf.data.path_list import PathList
from qtdog_tf.evaluation.images import Images
from qtdog_tf.evaluation.inference import predict_logits
from qtdog_tf.evaluation.metrics import DomainResult, domain_result
from qtdog_tf.evaluation.run_folder import Run


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """A model's logits on images of one domain, and the figures that follow from them.

    Attributes:
        images: the images.
        logits: float32 [images, classes].
        result: the figures.
    """

    images: Images
    logits: np.ndarray
    result: DomainResult


def evaluate_run(
    run: Run, model: str, chosen: Sequence[Images], *, label: str = "images"
) -> list[Predictions]:
    """Evaluates one model of a run.

    Args:
        run: the run.
        model: which of its models, see `MODELS`.
        chosen: what `choose_images` returned.
        label: name of the run, for the progress bar that a terminal shows.

    Returns:
        One for each of `chosen`.

    Raises:
        UserError: if the model or an image cannot be read.
    """
    # In one go over all domains: to start the input pipeline takes a second each time.
    paths = PathList.join([images.domain.paths for images in chosen])
    logits = predict_logits(run.load_model(model), paths, image_size=run.image_size, label=label)
    ends = np.cumsum([len(images.domain) for images in chosen])
    return [
        Predictions(images, part, domain_result(images, run.classes, part))
        for images, part in zip(chosen, np.split(logits, ends[:-1]), strict=True)
    ]
