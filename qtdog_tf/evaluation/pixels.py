"""Image files as arrays of pixels, resized as in the evaluations of training.

Start from `read_pixels`.
"""

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from qtdog_tf.data import evaluation_batches, find_unreadable, without_labels
from qtdog_tf.data.domains import Domain
from qtdog_tf.data.path_list import PathList
from qtdog_tf.errors import UserError

BATCH_SIZE = 64


def image_batches(paths: Sequence[str], image_size: int) -> tf.data.Dataset:
    """Reads image files.

    Args:
        paths: the files, at least one.
        image_size: height and width to resize to, pixels.

    Returns:
        A data set of uint8 [b, image_size, image_size, 3], in the order of the files. Iterate it
        inside `naming_unreadable`.
    """
    batches = evaluation_batches(
        Domain("images", PathList.of(paths), np.zeros(len(paths), np.int32)),
        np.arange(len(paths)),
        image_size=image_size,
        batch_size=BATCH_SIZE,
    )
    return without_labels(batches)


@contextlib.contextmanager
def naming_unreadable(paths: Sequence[str]) -> Iterator[None]:
    """Turns the input pipeline's error, which names no file, into one that does.

    Raises:
        UserError: if an image cannot be read, naming it.
    """
    try:
        yield
    except tf.errors.OpError as error:
        unreadable = find_unreadable(paths)
        if not unreadable:
            raise
        more = f" (and {len(unreadable) - 1} more cannot be read)" * (len(unreadable) > 1)
        raise UserError(
            f"image {unreadable[0].path} {unreadable[0].problem}{more}: "
            "`python -m tools.check_data` lists all that must be replaced or removed"
        ) from error


def read_pixels(paths: Sequence[str], image_size: int) -> np.ndarray:
    """Reads image files into memory.

    Args:
        paths: the files.
        image_size: height and width to resize to, pixels.

    Returns:
        uint8 [n, image_size, image_size, 3], in the order of the files.

    Raises:
        UserError: if an image cannot be read, naming it.
    """
    pixels = np.empty((len(paths), image_size, image_size, 3), np.uint8)
    if not len(paths):
        return pixels
    done = 0
    with naming_unreadable(paths):
        for batch in image_batches(paths, image_size).as_numpy_iterator():
            pixels[done : done + len(batch)] = batch
            done += len(batch)
    return pixels
