"""Evaluations as scalars for TensorBoard."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import keras
import tensorflow as tf

from qtdog_tf.records import Evaluation
from qtdog_tf.training.scalars import Scalars


class TensorBoardLog:
    """Listener of `DomainEvaluation` that writes accuracy and loss of every part.

    Tags are `<measure>/<domain>/<part>/<weights>`, "accuracy/line/in/sma" for example. Scalars of
    `scalars.py` are given to it apart, and are called `<name>/<weights>`.

    Args:
        folder: where the event file goes; made with the first evaluation.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._writer: tf.summary.SummaryWriter | None = None

    def rewrite(self, evaluations: Iterable[Evaluation], scalars: Iterable[Scalars] = ()) -> None:
        """Replaces what is there, so that a run which goes on has no point twice or too many."""
        for path in self.folder.glob("events.out.tfevents.*"):
            path.unlink()
        self.add(evaluations, scalars)

    def add(self, evaluations: Iterable[Evaluation], scalars: Iterable[Scalars] = ()) -> None:
        """Writes several evaluations, and the scalars beside them."""
        for evaluation in evaluations:
            self(evaluation)
        for values in scalars:
            self.write_scalars(values)

    def __call__(self, evaluation: Evaluation, model: keras.Model | None = None) -> None:
        """Writes one evaluation."""
        with self._open(evaluation.step):
            for domains in (evaluation.source, evaluation.target):
                for domain, parts in domains.items():
                    for part, score in parts.items():
                        tag = f"{domain}/{part}/{evaluation.weights}"
                        tf.summary.scalar(f"accuracy/{tag}", score.accuracy)
                        tf.summary.scalar(f"loss/{tag}", score.loss)
            mean = evaluation.source_accuracy
            tf.summary.scalar(f"accuracy/source_validation/{evaluation.weights}", mean)

    def write_scalars(self, scalars: Scalars) -> None:
        """Writes the scalars of one evaluation."""
        with self._open(scalars.step):
            for name, value in scalars.values.items():
                tf.summary.scalar(f"{name}/{scalars.weights}", value)

    @contextlib.contextmanager
    def _open(self, step: int) -> Iterator[None]:
        """Within this context scalars go to the file, and are there when it ends."""
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self.folder))
        with self._writer.as_default(step=step):
            yield
        self._writer.flush()
