"""The logits of a model for images on disk."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from qtdog_tf.data import evaluation_batches, find_unreadable
from qtdog_tf.data.domains import Domain
from qtdog_tf.errors import UserError

BATCH_SIZE = 64


def predict_logits(
    model: keras.Model, paths: Sequence[str], *, image_size: int, label: str
) -> np.ndarray:
    """Runs a model on image files, resized as in the evaluations of training.

    Args:
        model: from pixels [n, image_size, image_size, 3] to logits [n, classes].
        paths: the files, at least one.
        image_size: height and width that the model takes, pixels.
        label: name of the progress bar that a terminal shows.

    Returns:
        float32 [n, classes], in the order of the files.

    Raises:
        UserError: if an image cannot be read, naming it.
    """
    batches = evaluation_batches(
        Domain(label, tuple(paths), np.zeros(len(paths), np.int32)),
        np.arange(len(paths)),
        image_size=image_size,
        batch_size=BATCH_SIZE,
        cache_bytes=0,  # each is read once only
    )
    images = batches.map(lambda image, _: image)
    # disable=None: on a terminal only, where it is gone when the table comes.
    with tqdm(total=len(paths), desc=label, unit="image", disable=None, leave=False) as bar:
        try:
            logits = model.predict(images, verbose=0, callbacks=[_Progress(bar)])
        except tf.errors.OpError as error:
            # The pipeline's error does not name the image.
            unreadable = find_unreadable(paths)
            if not unreadable:
                raise
            more = f" (and {len(unreadable) - 1} more cannot be read)" * (len(unreadable) > 1)
            raise UserError(
                f"image {unreadable[0].path} {unreadable[0].problem}{more}: "
                "`python -m tools.check_data` lists all that must be replaced or removed"
            ) from error
    return np.asarray(logits, np.float32)


class _Progress(keras.callbacks.Callback):
    """Moves a bar that counts images."""

    def __init__(self, bar: tqdm) -> None:
        super().__init__()
        self.bar = bar

    def on_predict_batch_end(self, batch: int, logs: object = None) -> None:
        self.bar.update(min(BATCH_SIZE, self.bar.total - self.bar.n))
