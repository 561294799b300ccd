"""Evaluations as scalars for TensorBoard."""

from collections.abc import Iterable
from pathlib import Path

import keras
import tensorflow as tf

from qtdog_tf.records import Evaluation


class TensorBoardLog:
    """Listener of `DomainEvaluation` that writes accuracy and loss of every part.

    Tags are `<measure>/<domain>/<part>/<weights>`, "accuracy/line/in/sma" for example.

    Args:
        folder: where the event file goes; made with the first evaluation.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._writer: tf.summary.SummaryWriter | None = None

    def rewrite(self, evaluations: Iterable[Evaluation]) -> None:
        """Replaces what is there, so that a run which goes on has no point twice or too many."""
        for path in self.folder.glob("events.out.tfevents.*"):
            path.unlink()
        for evaluation in evaluations:
            self(evaluation)

    def __call__(self, evaluation: Evaluation, model: keras.Model | None = None) -> None:
        """Writes one evaluation."""
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self.folder))
        with self._writer.as_default(step=evaluation.step):
            for domains in (evaluation.source, evaluation.target):
                for domain, parts in domains.items():
                    for part, score in parts.items():
                        tag = f"{domain}/{part}/{evaluation.weights}"
                        tf.summary.scalar(f"accuracy/{tag}", score.accuracy)
                        tf.summary.scalar(f"loss/{tag}", score.loss)
            mean = evaluation.source_accuracy
            tf.summary.scalar(f"accuracy/source_validation/{evaluation.weights}", mean)
        self._writer.flush()
