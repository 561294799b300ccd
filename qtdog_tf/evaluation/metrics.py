"""What a model got right and wrong on one domain: confusion matrix, and the figures that follow."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from qtdog_tf.evaluation.images import Images
from qtdog_tf.training.evaluation import score


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts images by true class (row) and predicted class (column).

    Args:
        truth: int [n].
        predicted: int [n].
        classes: number of classes.

    Returns:
        int64 [classes, classes].
    """
    cells = np.asarray(truth, np.int64) * classes + np.asarray(predicted, np.int64)
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


@dataclasses.dataclass(frozen=True, eq=False)
class DomainResult:
    """The figures of one model on images of one domain.

    Attributes:
        domain: name of the domain.
        role: see `Images`.
        part: see `Images`.
        unknown: images skipped by name of their class, which are in no figure.
        classes: the run's classes.
        confusion: int64 [classes, classes], see `confusion_matrix`.
        loss: mean cross-entropy, nats; NaN without images.
    """

    domain: str
    role: str
    part: str
    unknown: Mapping[str, int]
    classes: tuple[str, ...]
    confusion: np.ndarray
    loss: float

    @property
    def images(self) -> int:
        """Number of images."""
        return int(self.confusion.sum())

    @property
    def support(self) -> np.ndarray:
        """Images of each class, int64 [classes]."""
        return self.confusion.sum(axis=1)

    @property
    def accuracy(self) -> float:
        """Part of the images that is right, 0 to 1; NaN without images."""
        return float(np.trace(self.confusion) / self.images) if self.images else float("nan")

    @property
    def recalls(self) -> np.ndarray:
        """Part of each class's images that is right; NaN for a class without images."""
        return _ratio(np.diagonal(self.confusion), self.support)

    @property
    def precisions(self) -> np.ndarray:
        """Part of the images called by a class that are of it; NaN for a class never named."""
        return _ratio(np.diagonal(self.confusion), self.confusion.sum(axis=0))

    @property
    def mean_recall(self) -> float:
        """Mean of `recalls` over the classes that occur; NaN without images."""
        return float(np.nanmean(self.recalls)) if self.images else float("nan")

    @property
    def absent(self) -> tuple[str, ...]:
        """The run's classes of which there is no image."""
        return tuple(c for c, n in zip(self.classes, self.support, strict=True) if n == 0)

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON; what is not a number is null."""
        rows = zip(self.classes, self.support, self.recalls, self.precisions, strict=True)
        return {
            "domain": self.domain,
            "role": self.role,
            "part": self.part,
            "images": self.images,
            "accuracy": _plain(self.accuracy),
            "mean_recall": _plain(self.mean_recall),
            "loss": _plain(self.loss),
            "classes": {
                name: {"images": int(n), "recall": _plain(recall), "precision": _plain(precision)}
                for name, n, recall, precision in rows
            },
            "confusion": self.confusion.tolist(),
            "unknown_classes": dict(self.unknown),
        }


def domain_result(images: Images, classes: tuple[str, ...], logits: np.ndarray) -> DomainResult:
    """The figures of a model on the images of one domain.

    Args:
        images: the images.
        classes: the run's classes.
        logits: of each image, float [n, classes]. Of equal logits the first counts.
    """
    labels = images.domain.labels
    return DomainResult(
        domain=images.domain.name,
        role=images.role,
        part=images.part,
        unknown=images.unknown,
        classes=classes,
        confusion=confusion_matrix(labels, logits.argmax(axis=1), len(classes)),
        loss=score(logits, labels).loss if len(labels) else float("nan"),
    )


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
