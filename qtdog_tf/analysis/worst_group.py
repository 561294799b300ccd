"""The group of images that a model does worst on: a mean hides who pays for it.

A group is a class in a domain, as in group DRO (Sagawa et al., ICLR 2020).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from qtdog_tf.analysis.samples import Sample

# The accuracy of fewer images says nothing: of one, it is 0 or 1.
MIN_IMAGES = 5


def worst_group(
    pairs: Sequence[tuple[Sample, np.ndarray]],
    classes: Sequence[str] | None = None,
    min_images: int = MIN_IMAGES,
) -> dict[str, Any] | None:
    """Finds the class in a domain that has the lowest accuracy.

    Args:
        pairs: samples, and which of their images the model gets right, bool [n]. Samples of one
            domain are taken together.
        classes: names of the classes. Default: they are called by their numbers.
        min_images: groups of fewer images do not count. Default 5.

    Returns:
        {"domain", "class", "accuracy" (0 to 1), "images"}; of equally bad groups the first, by the
        order of the samples, then of the classes. None if no group is large enough.
    """
    worst: dict[str, Any] | None = None
    for domain in dict.fromkeys(sample.domain for sample, _ in pairs):
        mine = [pair for pair in pairs if pair[0].domain == domain]
        labels = np.concatenate([sample.labels for sample, _ in mine])
        right = np.concatenate([np.asarray(good, bool) for _, good in mine])
        for label in np.unique(labels):
            chosen = right[labels == label]
            if len(chosen) < min_images:
                continue
            accuracy = float(chosen.mean())
            if worst is None or accuracy < worst["accuracy"]:
                worst = {
                    "domain": domain,
                    "class": classes[label] if classes else int(label),
                    "accuracy": accuracy,
                    "images": len(chosen),
                }
    return worst
