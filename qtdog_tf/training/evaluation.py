"""Evaluation of each domain during training: source validation, and the target's two parts.

`DomainEvaluation` is an ordinary Keras callback. What it measures becomes an `Evaluation` record,
which listeners write down or select by. Measuring the target is not selecting by it: see
`selection.py`.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from qtdog_tf.quantization.start import is_quantized
from qtdog_tf.training.averaging import SimpleMovingAverage

SOURCE, TARGET = "source", "target"
IN, OUT = "in", "out"
RAW, SMA = "raw", "sma"


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


@dataclasses.dataclass(frozen=True)
class Score:
    """Accuracy (0 to 1) and mean cross-entropy (nats) on `images` images."""

    accuracy: float
    loss: float
    images: int


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What one evaluation measured.

    Attributes:
        step: the step (from 0) after whose update it was made.
        weights: "raw" (as trained) or "sma" (their moving average).
        quantized: whether the model ran on quantized weights.
        source: by domain and split ("out" is the validation part).
        target: by domain and split.
    """

    step: int
    weights: str
    quantized: bool
    source: Mapping[str, Mapping[str, Score]]
    target: Mapping[str, Mapping[str, Score]]

    @property
    def source_accuracy(self) -> float:
        """Mean over source domains of the accuracy on their validation parts."""
        return _mean(parts[OUT].accuracy for parts in self.source.values())

    @property
    def source_loss(self) -> float:
        """Mean over source domains of the cross-entropy on their validation parts."""
        return _mean(parts[OUT].loss for parts in self.source.values())

    def target_accuracy(self, split: str = IN) -> float:
        """Mean over target domains of the accuracy on one part; NaN without a target."""
        return _mean(parts[split].accuracy for parts in self.target.values())

    def to_dict(self) -> dict[str, Any]:
        """As a dictionary of plain values, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Evaluation":
        """The inverse of `to_dict`."""

        def scores(domains: Mapping[str, Any]) -> dict[str, dict[str, Score]]:
            return {d: {s: Score(**v) for s, v in parts.items()} for d, parts in domains.items()}

        return cls(
            step=values["step"],
            weights=values["weights"],
            quantized=values["quantized"],
            source=scores(values["source"]),
            target=scores(values["target"]),
        )


def _mean(values: Any) -> float:
    values = list(values)
    return float(np.mean(values)) if values else float("nan")


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
