"""Evaluation of each domain during training: source validation, and the target's two parts.

`DomainEvaluation` is an ordinary Keras callback. What it measures becomes `Evaluation` records,
which listeners write down or select by. Measuring the target is not selecting by it: see
`selection.py`.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from qtdog_tf.averaging.base import WeightAverage
from qtdog_tf.quantization.start import is_quantized
from qtdog_tf.records import RAW, SOURCE, TARGET, Evaluation, Score
from qtdog_tf.training.batch_statistics import BatchStatistics

# Images whose logits are worked on in float64 together.
_ROWS = 4096


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of a domain to evaluate on.

    Attributes:
        domain: name of the domain.
        role: "source" or "target".
        split: "in" (80 %) or "out" (20 %).
        images: batches of images, uint8 or float [n, height, width, 3], the same in each pass: a
            `tf.data.Dataset`, a `KeptBatches`, a list.
        labels: class of each image, int [images in all].
        last_only: evaluate at the last step only (training images of source domains).
    """

    domain: str
    role: str
    split: str
    images: Iterable[tf.Tensor]
    labels: np.ndarray
    last_only: bool = False


def score(logits: np.ndarray, labels: np.ndarray) -> Score:
    """Accuracy and mean cross-entropy of logits [n, classes] against labels [n], in float64."""
    losses = np.empty(len(labels))
    # Some at a time: float64 copies of all logits of DomainNet's largest domain take a gigabyte.
    for start in range(0, len(labels), _ROWS):
        rows = slice(start, start + _ROWS)
        some = np.asarray(logits[rows], np.float64)
        top = some.max(axis=1, keepdims=True)
        own = some[np.arange(len(some)), labels[rows]]
        losses[rows] = top[:, 0] + np.log(np.exp(some - top).sum(axis=1)) - own
    return Score(
        accuracy=float(np.mean(np.argmax(logits, axis=1) == labels)),
        loss=float(np.mean(losses)),
        images=len(labels),
    )


def predict_logits(
    model: keras.Model, images: Iterable[tf.Tensor], check: Callable[[], None] | None = None
) -> np.ndarray:
    """The logits of every image of a number of batches, float32 [n, classes].

    Args:
        model: from images to logits.
        images: batches, one at least.
        check: called after each batch; may raise to break off.
    """
    logits = []
    with _on_one_device(model):
        for batch in images:
            logits.append(np.asarray(model.predict_on_batch(batch), np.float32))
            if check:
                check()
    return np.concatenate(logits)


@contextlib.contextmanager
def _on_one_device(model: keras.Model) -> Iterator[None]:
    """Within this context a model that several devices train predicts on the first of them.

    To hand a data set to several takes 0.15 s each time, which many small parts make long, and a
    last batch need not be divisible.
    """
    strategy, model._distribute_strategy = model._distribute_strategy, None
    try:
        yield
    finally:
        model._distribute_strategy = strategy


Listener = Callable[[Evaluation, keras.Model], None]
Observer = Callable[[int, str, Part, np.ndarray], None]


class DomainEvaluation(keras.callbacks.Callback):
    """Evaluates the model on every part after steps 0, `every`, 2 * `every`, ... and the last.

    Args:
        parts: what to evaluate on.
        every: steps between evaluations.
        last_step: index of the last step (steps - 1), which is always evaluated.
        listeners: called with each `Evaluation` while the model holds the weights evaluated.
        averages: evaluate these averages of the weights too, those that are ready. Default none.
        completed: called with all records of a step, when there is nothing left to do for it.
        check: called between batches; may raise to break off. The step is then evaluated again by
            whoever goes on, and what was measured of it before does no harm.
        observers: called with the step, the kind of weights, each part and its logits.
        statistics: measures BatchNorm's statistics anew for averages, where they learn. Default:
            those of the weights as trained are used.

    Attributes:
        told: the last step whose evaluation the averages have been told; -1 before the first.
        completed_step: the last step that was evaluated to the end; -1 before the first.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        every: int,
        last_step: int,
        listeners: Sequence[Listener] = (),
        averages: Sequence[WeightAverage] = (),
        completed: Sequence[Callable[[list[Evaluation]], None]] = (),
        check: Callable[[], None] | None = None,
        observers: Sequence[Observer] = (),
        statistics: BatchStatistics | None = None,
    ) -> None:
        super().__init__()
        self.parts = list(parts)
        self.every = every
        self.last_step = last_step
        self.listeners = list(listeners)
        self.averages = list(averages)
        self.completed = list(completed)
        self.check = check
        self.observers = list(observers)
        self.statistics = statistics
        self.told = -1
        self.completed_step = -1

    def is_due(self, step: int) -> bool:
        """Whether the model is evaluated after this step."""
        if step < 0:
            return False
        # Callbacks see the last step of an execution only, which stands for all of it.
        before = step - self.model.steps_per_execution
        return step // self.every > before // self.every or step == self.last_step

    def is_pending(self, step: int) -> bool:
        """Whether the model should have been evaluated after this step, and was not to the end."""
        return self.is_due(step) and self.completed_step < step

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Evaluates, if it is time."""
        step = int(self.model.optimizer.iterations.numpy()) - 1
        # Under float16 an overflow skips a step, and the one before seems to end once more.
        if self.is_due(step) and step != self.completed_step:
            self.evaluate(step)

    def evaluate(self, step: int) -> None:
        """Evaluates now, and hands the records to the listeners."""
        records = [self._measure(step, RAW)]
        # An average must not hear of a step twice, also if its evaluation is broken off.
        if self.told < step:
            for average in self.averages:
                average.evaluated(records[0])
            self.told = step
        for average in self.averages:
            if average.ready:
                with average.applied(), self._statistics_measured():
                    records.append(self._measure(step, average.name))
        for listener in self.completed:
            listener(records)
        self.completed_step = step

    def _statistics_measured(self) -> contextlib.AbstractContextManager[None]:
        if self.statistics is None:
            return contextlib.nullcontext()
        return self.statistics.measured(self.model)

    def _measure(self, step: int, weights: str) -> Evaluation:
        measured: dict[str, dict[str, dict[str, Score]]] = {SOURCE: {}, TARGET: {}}
        for part in self.parts:
            if part.last_only and step != self.last_step:
                continue
            scores = measured[part.role].setdefault(part.domain, {})
            logits = predict_logits(self.model, part.images, self.check)
            scores[part.split] = score(logits, part.labels)
            for observer in self.observers:
                observer(step, weights, part, logits)
        evaluation = Evaluation(
            step, weights, is_quantized(self.model), measured[SOURCE], measured[TARGET]
        )
        for listener in self.listeners:
            listener(evaluation, self.model)
        return evaluation
