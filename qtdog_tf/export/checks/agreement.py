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
    """

    domain: str
    role: str
    images: int
    same_class: float
    model_accuracy: float
    file_accuracy: float
    mean_difference: float
    max_difference: float


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
    named, named_by_file = probabilities.argmax(axis=1), of_file.argmax(axis=1)
    difference = np.abs(probabilities - of_file)
    return Agreement(
        domain=images.name,
        role=images.role,
        images=len(images.labels),
        same_class=float(np.mean(named == named_by_file)),
        model_accuracy=float(np.mean(named == images.labels)),
        file_accuracy=float(np.mean(named_by_file == images.labels)),
        mean_difference=float(difference.mean()),
        max_difference=float(difference.max()),
    )


def check_agreement(agreements: Sequence[Agreement], least: float) -> Check:
    """Whether the file names the model's class often enough, over all images.

    Args:
        agreements: of every domain.
        least: the share of images on which it must, 0 to 1.
    """
    images = sum(a.images for a in agreements)
    same = sum(a.same_class * a.images for a in agreements) / images
    detail = f"same class on {100 * same:.2f} % of {images:,} images, {100 * least:.0f} % needed"
    return Check("agreement", same >= least, detail, same)


def summary(agreements: Sequence[Agreement]) -> Mapping[str, float]:
    """Mean and largest difference of probabilities over all images."""
    images = sum(a.images for a in agreements)
    return {
        "mean_difference": sum(a.mean_difference * a.images for a in agreements) / images,
        "max_difference": max(a.max_difference for a in agreements),
    }
