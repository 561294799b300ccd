"""How sure a model is of what it predicts, and whether it is right as often as it is sure.

The confidence of a prediction is the probability of the class that is predicted. Images are put
into bins of equal width by it, and the expected calibration error (Guo et al., "On Calibration of
Modern Neural Networks", ICML 2017, eq. 3 and 5) is

    ECE = sum_b n_b / n * |accuracy_b - confidence_b|

Start from `reliability`.
"""

import dataclasses

import numpy as np

BINS = 15
# Images whose logits are worked on in float64 together.
_ROWS = 4096


def confidences(logits: np.ndarray) -> np.ndarray:
    """The largest probability of each image: the softmax of the logits, in float64.

    Args:
        logits: float [n, classes].

    Returns:
        float64 [n], from 1 / classes to 1.
    """
    found = np.empty(len(logits))
    # Some at a time, since in float64 all of a large domain take a lot of memory.
    for start in range(0, len(logits), _ROWS):
        some = np.asarray(logits[start : start + _ROWS], np.float64)
        # exp(z_max - z_max) is 1, so nothing overflows and the sum is at least 1.
        sums = np.exp(some - some.max(axis=1, keepdims=True)).sum(axis=1)
        found[start : start + _ROWS] = 1.0 / sums
    return found


@dataclasses.dataclass(frozen=True, eq=False)
class Reliability:
    """What the images of each bin of confidence come to.

    Attributes:
        edges: float64 [bins + 1]; bin b holds the confidences in (edges[b], edges[b + 1]].
        images: number of images in each bin, int64 [bins].
        accuracy: part of them that is right, float64 [bins]; NaN in an empty bin.
        confidence: their mean confidence, float64 [bins]; NaN in an empty bin.
    """

    edges: np.ndarray
    images: np.ndarray
    accuracy: np.ndarray
    confidence: np.ndarray

    @property
    def error(self) -> float:
        """The expected calibration error, 0 to 1; NaN without images, or if a confidence is NaN."""
        if not self.images.sum():
            return float("nan")
        gaps = np.abs(self.accuracy - self.confidence) * self.images
        return float(gaps[self.images > 0].sum() / self.images.sum())


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> Reliability:
    """Puts images into bins of equal width by their confidence.

    Args:
        confidence: float [n], above 0 and at most 1; NaN, of a model that diverged, counts as 1.
        right: whether the prediction is right, bool [n].
        bins: number of bins. Default 15, as in the paper.

    Returns:
        The bins, lowest first. One on an edge belongs to the bin below it: (low, high].
    """
    confidence = np.asarray(confidence, np.float64)
    edges = np.arange(bins + 1) / bins
    where = np.minimum(np.searchsorted(edges, confidence, side="left") - 1, bins - 1)
    images = np.bincount(where, minlength=bins)
    sums = [np.bincount(where, values, minlength=bins) for values in (right, confidence)]
    means = [
        np.divide(total, images, out=np.full(bins, np.nan), where=images > 0) for total in sums
    ]
    return Reliability(edges, images, accuracy=means[0], confidence=means[1])
