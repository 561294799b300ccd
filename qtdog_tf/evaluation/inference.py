"""The logits of a model for images on disk."""

from collections.abc import Sequence

import keras
import numpy as np
from tqdm import tqdm

from qtdog_tf.evaluation.pixels import BATCH_SIZE, image_batches, naming_unreadable


def predict_logits(
    model: keras.Model, paths: Sequence[str], *, image_size: int, label: str
) -> np.ndarray:
    """Runs a model on image files, resized as in the evaluations of training.

    Args:
        model: from pixels [n, image_size, image_size, 3] to logits [n, classes], or those of
            several models [n, models, classes].
        paths: the files, at least one.
        image_size: height and width that the model takes, pixels.
        label: name of the progress bar that a terminal shows.

    Returns:
        float32, of the shape that the model gives, in the order of the files.

    Raises:
        UserError: if an image cannot be read, naming it.
    """
    images = image_batches(paths, image_size)
    # disable=None: on a terminal only, where it is gone when the table comes.
    with (
        tqdm(total=len(paths), desc=label, unit="image", disable=None, leave=False) as bar,
        naming_unreadable(paths),
    ):
        logits = model.predict(images, verbose=0, callbacks=[_Progress(bar)])
    return np.asarray(logits, np.float32)


class _Progress(keras.callbacks.Callback):
    """Moves a bar that counts images."""

    def __init__(self, bar: tqdm) -> None:
        super().__init__()
        self.bar = bar

    def on_predict_batch_end(self, batch: int, logs: object = None) -> None:
        self.bar.update(min(BATCH_SIZE, self.bar.total - self.bar.n))
