"""Batches that evaluations look at again and again, kept in memory after the first pass.

Start from `kept_images`.
"""

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf
from absl import logging

from qtdog_tf.data.cache import MEBIBYTE, CachePlan
from qtdog_tf.data.domains import Domain
from qtdog_tf.data.pipeline import evaluation_batches, read_image, without_labels

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
    needed = len(indices) * image_size * image_size * 3
    plan = CachePlan(f"{len(indices):,} evaluation images of {domain.name}", needed, cache_bytes)
    logging.info("%s", plan)
    if plan.fits:
        return KeptBatches(domain.paths.take(indices), image_size, batch_size)
    return without_labels(
        evaluation_batches(
            domain, indices, image_size=image_size, batch_size=batch_size, check_size=False
        )
    )


class KeptBatches:
    """The same batches in each pass; what the first whole pass has read is kept.

    Threads read the images one by one. `tf.data` would do so once only, and to prepare it takes
    longer than a small part of the data takes a network.

    Args:
        paths: the files of the images.
        image_size: edge of the images in pixels.
        batch_size: the last batch may be smaller.
    """

    def __init__(self, paths: Sequence[str], image_size: int, batch_size: int) -> None:
        self._paths = paths
        self._image_size = image_size
        self._batch_size = batch_size
        self._kept: list[tf.Tensor] | None = None

    def __iter__(self) -> Iterator[tf.Tensor]:
        if self._kept is not None:
            yield from self._kept
            return
        read = []
        for batch in self._read():
            read.append(batch)
            yield batch
        # A pass that is broken off, by an image that cannot be read for one, keeps nothing.
        self._kept = read

    def _read(self) -> Iterator[tf.Tensor]:
        pool = ThreadPoolExecutor()
        try:
            images = pool.map(
                functools.partial(read_image, image_size=self._image_size), self._paths
            )
            while batch := list(itertools.islice(images, self._batch_size)):
                yield _stacked(batch)
        finally:
            pool.shutdown(cancel_futures=True)


def _stacked(images: Sequence[tf.Tensor]) -> tf.Tensor:
    # In the memory that the plan counts with, and not in an accelerator's.
    with tf.device("CPU:0"):
        return tf.stack(images)
