"""Evaluation of each domain during training: source validation, and the target's two parts.

`DomainEvaluation` is an ordinary Keras callback. What it measures becomes an `Evaluation` record,
which listeners write down or select by. Measuring the target is not selecting by it: see
`selection.py`.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from qtdog_tf.quantization.start import is_quantized
from qtdog_tf.records import RAW, SMA, SOURCE, TARGET, Evaluation, Score
from qtdog_tf.training.averaging import SimpleMovingAverage


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of a domain to evaluate on.

    Attributes:
        domain: name of the domain.
        role: "source" or "target".
        split: "in" (80 %) or "out" (20 %).
        images: dataset of image batches, uint8 or float [n, height, width, 3], in a fixed order.
        labels: class of each image, int [images in all].
        last_only: evaluate at the last step only (training images of source domains).
    """

    domain: str
    role: str
    split: str
    images: tf.data.Dataset
    labels: np.ndarray
    last_only: bool = False


def score(logits: np.ndarray, labels: np.ndarray) -> Score:
    """Accuracy and mean cross-entropy of logits [n, classes] against labels [n], in float64."""
    logits = np.asarray(logits, np.float64)
    top = logits.max(axis=1, keepdims=True)
    log_sum = top[:, 0] + np.log(np.exp(logits - top).sum(axis=1))
    own = logits[np.arange(len(labels)), labels]
    return Score(
        accuracy=float(np.mean(logits.argmax(axis=1) == labels)),
        loss=float(np.mean(log_sum - own)),
        images=len(labels),
    )


def predict_logits(model: keras.Model, images: tf.data.Dataset) -> np.ndarray:
    """The logits of every image of a dataset of image batches, float32 [n, classes]."""
    return np.asarray(model.predict(images, verbose=0), np.float32)


Listener = Callable[[Evaluation, keras.Model], None]


class DomainEvaluation(keras.callbacks.Callback):
    """Evaluates the model on every part after steps 0, `every`, 2 * `every`, ... and the last.

    Args:
        parts: what to evaluate on.
        every: steps between evaluations.
        last_step: index of the last step (steps - 1), which is always evaluated.
        listeners: called with each `Evaluation` while the model holds the weights evaluated.
        average: evaluate this average of the weights too, as "sma". Default none.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        every: int,
        last_step: int,
        listeners: Sequence[Listener] = (),
        average: SimpleMovingAverage | None = None,
    ) -> None:
        super().__init__()
        self.parts = list(parts)
        self.every = every
        self.last_step = last_step
        self.listeners = list(listeners)
        self.average = average

    def is_due(self, step: int) -> bool:
        """Whether the model is evaluated after this step."""
        return step % self.every == 0 or step == self.last_step

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Evaluates, if it is time."""
        step = int(self.model.optimizer.iterations.numpy()) - 1
        if self.is_due(step):
            self.evaluate(step)

    def evaluate(self, step: int) -> None:
        """Evaluates now, and hands the records to the listeners."""
        kinds: list[tuple[str, Any]] = [(RAW, contextlib.nullcontext)]
        if self.average is not None:
            kinds.append((SMA, self.average.applied))
        for weights, context in kinds:
            with context():
                evaluation = self._measure(step, weights)
                for listener in self.listeners:
                    listener(evaluation, self.model)

    def _measure(self, step: int, weights: str) -> Evaluation:
        measured: dict[str, dict[str, dict[str, Score]]] = {SOURCE: {}, TARGET: {}}
        for part in self.parts:
            if part.last_only and step != self.last_step:
                continue
            scores = measured[part.role].setdefault(part.domain, {})
            scores[part.split] = score(predict_logits(self.model, part.images), part.labels)
        return Evaluation(
            step, weights, is_quantized(self.model), measured[SOURCE], measured[TARGET]
        )
