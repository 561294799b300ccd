"""Does the file say what the model says? Both on the same images, domain by domain.

Start with `compare`.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np

from qtdog_tf.export.checks.parity import Check
from qtdog_tf.export.tflite.runner import TFLiteClassifier

_BATCH_SIZE = 64


@dataclasses.dataclass(frozen=True, eq=False)
class ImageSet:
    """Images to compare on.

    Attributes:
        name: the domain.
        role: "source", "target", or as `evaluation.Images`.
        pixels: uint8 [n, S, S, 3].
        labels: int32 [n], numbers of the model's classes.
    """

    name: str
    role: str
    pixels: np.ndarray
    labels: np.ndarray


@dataclasses.dataclass(frozen=True)
class Agreement:
    """File and model on one domain.

    Attributes:
        domain, role, images: see `ImageSet`.
        same_class: share of the images on which both name the same class, 0 to 1.
        model_accuracy, file_accuracy: 0 to 1.
        mean_difference, max_difference: of the probabilities, over images and classes.
        not_finite: images of which model or file gives a probability that is no finite number. No
            class is named on them, and their probabilities count as 1 apart.
    """

    domain: str
    role: str
    images: int
    same_class: float
    model_accuracy: float
    file_accuracy: float
    mean_difference: float
    max_difference: float
    not_finite: int = 0


def compare(
    model: keras.Model,
    classifier: TFLiteClassifier,
    image_sets: Sequence[ImageSet],
    advance: Callable[[int], object] = lambda images: None,
) -> list[Agreement]:
    """Runs model and file on images.

    Args:
        model: from pixels to logits.
        classifier: the file.
        image_sets: at least one image each.
        advance: called with the number of images done since the last call.
    """
    return [_compare(model, classifier, images, advance) for images in image_sets]


def _compare(
    model: keras.Model,
    classifier: TFLiteClassifier,
    images: ImageSet,
    advance: Callable[[int], object],
) -> Agreement:
    expected, found = [], []
    for start in range(0, len(images.pixels), _BATCH_SIZE):
        batch = images.pixels[start : start + _BATCH_SIZE]
        logits = model.predict_on_batch(batch.astype(np.float32))
        expected.append(np.asarray(keras.ops.softmax(logits)))
        found.append(classifier.predict(batch))
        advance(len(batch))
    probabilities, of_file = np.concatenate(expected), np.concatenate(found)
    named, named_by_file = _named(probabilities), _named(of_file)
    finite = (named >= 0) & (named_by_file >= 0)
    numbers, numbers_of_file = (np.where(finite[:, None], x, 0) for x in (probabilities, of_file))
    difference = np.where(finite[:, None], np.abs(numbers - numbers_of_file), 1.0)
    return Agreement(
        domain=images.name,
        role=images.role,
        images=len(images.labels),
        same_class=float(np.mean(finite & (named == named_by_file))),
        model_accuracy=float(np.mean(named == images.labels)),
        file_accuracy=float(np.mean(named_by_file == images.labels)),
        mean_difference=float(difference.mean()),
        max_difference=float(difference.max()),
        not_finite=int(np.count_nonzero(~finite)),
    )


def _named(probabilities: np.ndarray) -> np.ndarray:
    """The class that each row names; -1 if one of its probabilities is no finite number."""
    return np.where(np.isfinite(probabilities).all(axis=1), probabilities.argmax(axis=1), -1)


def check_agreement(agreements: Sequence[Agreement], least: float) -> Check:
    """Whether the file names the model's class often enough, over all images.

    Probabilities that are no finite numbers are never enough.

    Args:
        agreements: of every domain.
        least: the share of images on which it must, 0 to 1.
    """
    images = sum(a.images for a in agreements)
    same = sum(a.same_class * a.images for a in agreements) / images
    detail = f"same class on {100 * same:.2f} % of {images:,} images, {100 * least:.0f} % needed"
    not_finite = sum(a.not_finite for a in agreements)
    if not_finite:
        detail += f"; probabilities of {not_finite:,} are no finite numbers"
    return Check("agreement", same >= least and not not_finite, detail, same)


def summary(agreements: Sequence[Agreement]) -> Mapping[str, float]:
    """Mean and largest difference of probabilities over all images."""
    images = sum(a.images for a in agreements)
    return {
        "mean_difference": sum(a.mean_difference * a.images for a in agreements) / images,
        "max_difference": max(a.max_difference for a in agreements),
    }
