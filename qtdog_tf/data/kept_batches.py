"""Batches that evaluations look at again and again, kept in memory after the first pass.

Start from `kept_images`.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf
from absl import logging

from qtdog_tf.data.cache import MEBIBYTE, CachePlan
from qtdog_tf.data.domains import Domain
from qtdog_tf.data.pipeline import evaluation_batches, without_labels

DEFAULT_EVALUATION_CACHE_BYTES = 256 * MEBIBYTE


def kept_images(
    domain: Domain,
    indices: np.ndarray,
    *,
    image_size: int,
    batch_size: int,
    cache_bytes: int = DEFAULT_EVALUATION_CACHE_BYTES,
) -> Iterable[tf.Tensor]:
    """The images of `evaluation_batches`, for more than one pass.

    Args:
        domain: the domain; its data are checked.
        indices: int64, positions in `domain.paths`.
        image_size: edge of the images in pixels.
        batch_size: the last batch may be smaller.
        cache_bytes: resized images are kept in memory if they take no more than this.

    Returns:
        Batches, uint8 [b, size, size, 3].
    """
    batches = without_labels(
        evaluation_batches(
            domain, indices, image_size=image_size, batch_size=batch_size, check_size=False
        )
    )
    needed = len(indices) * image_size * image_size * 3
    plan = CachePlan(f"{len(indices):,} evaluation images of {domain.name}", needed, cache_bytes)
    logging.info("%s", plan)
    return KeptBatches(batches) if plan.fits else batches


class KeptBatches:
    """The same batches in each pass; what the first whole pass has read is kept.

    `tf.data.Dataset.cache` keeps as much, but to begin a pass through a data set takes longer than
    a small part of the data takes a network.
    """

    def __init__(self, batches: Iterable[tf.Tensor]) -> None:
        self._batches = batches
        self._kept: list[tf.Tensor] | None = None

    def __iter__(self) -> Iterator[tf.Tensor]:
        if self._kept is not None:
            yield from self._kept
            return
        read = []
        for batch in self._batches:
            read.append(batch)
            yield batch
        # A pass that is broken off, by an image that cannot be read for one, keeps nothing.
        self._kept = read
