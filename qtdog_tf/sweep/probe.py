"""How fast a run trains here, by a few real steps that are thrown away. Start from `measure`."""

import dataclasses
import time
from typing import Any

import keras
import numpy as np

from qtdog_tf.data import evaluation_batches, without_labels
from qtdog_tf.training.parts import BATCH_SIZE
from qtdog_tf.training.trial_data import TrialData

# The first executions trace the graph and fill queues.
_WARM_UP = 2
_EVALUATED_BATCHES = 8


@dataclasses.dataclass(frozen=True)
class Speed:
    """What a run's parts take, in seconds.

    Attributes:
        step: a training step of the float phase, input included.
        image: an image of an evaluation, input included.
        startup: until a phase makes its second step: imports, weights, tracing.
    """

    step: float
    image: float
    startup: float = 0.0


class _PredictionClock(keras.callbacks.Callback):
    """The time after each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        self.times.append(time.monotonic())


class _Clock(keras.callbacks.Callback):
    """The time after each execution, when its result is there."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        float((logs or {})["loss"])
        self.times.append(time.monotonic())


def measure(data: TrialData, model: keras.Model, executions: int) -> Speed:
    """Trains and evaluates for a moment; `model` is another one then.

    Args:
        data: that it is trained on.
        model: as `build_training_model` makes it.
        executions: how many of `steps_per_execution` steps are timed.
    """
    clock = _Clock()
    stride = model.steps_per_execution
    batches = data.batches().between(0, (_WARM_UP + executions) * stride)
    model.fit(batches, verbose=0, shuffle=False, callbacks=[clock])
    seconds = float(np.median(np.diff(clock.times)[_WARM_UP - 1 :])) / stride
    return Speed(seconds, _seconds_an_image(data, model))


def _seconds_an_image(data: TrialData, model: keras.Model) -> float:
    domain = data.domain_set.domain(data.roles.sources[0])
    count = min(len(domain), _EVALUATED_BATCHES * BATCH_SIZE)
    # Two batches at least, as the first one is not timed; a source domain has two images or more.
    batch_size = min(BATCH_SIZE, count // 2)
    batches = evaluation_batches(
        domain,
        np.arange(count),
        image_size=data.settings.image_size,
        batch_size=batch_size,
        check_size=False,
    )
    images = without_labels(batches)
    # Traces, and brings the files into the system's memory.
    model.predict(images, verbose=0)
    clock = _PredictionClock()
    model.predict(images, verbose=0, callbacks=[clock])
    # Before the first batch is ready a pass traces, and fills queues, whatever its length.
    return (clock.times[-1] - clock.times[0]) / (count - batch_size)
