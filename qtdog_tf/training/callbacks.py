"""Small Keras callbacks of training: the start of quantization, progress, logs of the loss."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
from tqdm import tqdm

from qtdog_tf.averaging.base import WeightAverage
from qtdog_tf.quantization.inq_quantizer import INQWeightQuantizer
from qtdog_tf.quantization.start import (
    MakeQuantizer,
    has_step_sizes,
    is_quantized,
    start_quantization,
)
from qtdog_tf.quantization.wrapper import check_mode, quantize_wrappers
from qtdog_tf.training.state import averages_of


class StartQuantization(keras.callbacks.Callback):
    """Starts quantization at the beginning of step `step`, counted from 0.

    The one callback that QT-DoG adds to a pipeline of one's own:

        model.fit(data, callbacks=[StartQuantization(step=2000)])

    Steps are the optimizer's, so epochs do not matter. Nor do interrupted runs: a model that gets
    weights and optimizer of a step after K back (`keras.callbacks.BackupAndRestore`) goes on with
    the step sizes that it had learned. Averages in the optimizer take note of the start.

    Args:
        step: step K, whose update is the first quantized one. Paper: 2000 of 5000.
        mode: "train" (default), "frozen", "off" or "frozen_float", see `QuantizeWrapper`.
        make_quantizer: see `start_quantization`. Default: each layer keeps its own.

    Raises:
        ValueError: for a negative step or an unknown mode; when training begins, if the model
            runs several steps an execution and K falls between two.
    """

    def __init__(
        self, step: int, mode: str = "train", make_quantizer: MakeQuantizer | None = None
    ) -> None:
        super().__init__()
        if step < 0:
            raise ValueError(f"step must be 0 or more, received {step}")
        self.step = step
        self.mode = check_mode(mode)
        self.make_quantizer = make_quantizer
        self.started = False

    def on_train_begin(self, logs: Any = None) -> None:
        """Checks that hooks will see step K; a model that has started already goes on as it is."""
        modes = {wrapper.mode for wrapper in quantize_wrappers(self.model)}
        self.started = is_quantized(self.model) or modes == {self.mode}
        stride = self.model.steps_per_execution
        if self.step % stride:
            raise ValueError(
                f"quantization cannot start at step {self.step}: with steps_per_execution={stride} "
                f"callbacks act at multiples of {stride} only"
            )

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Starts quantization, if this is step K, or goes on with it after a restart."""
        step = int(self.model.optimizer.iterations.numpy())
        if self.started or step < self.step:
            return
        goes_on = step >= self.step + self.model.steps_per_execution and has_step_sizes(self.model)
        if self.mode != "off" and not goes_on:
            for average in averages_of(self.model):
                average.restart(step)
        start_quantization(self.model, self.mode, self.make_quantizer, keep_step_sizes=goes_on)
        self.started = True


class FixPortions(keras.callbacks.Callback):
    """Fixes one portion after the other of the weights of INQ's layers.

    Args:
        schedule: (the step at whose beginning it is fixed, portion of each layer), rising. A model
            that goes on from a checkpoint has what was fixed before.
        averages: of the weights; with the last portion they begin anew, since a mean with weights
            from before they were fixed is no level.

    Raises:
        ValueError: when training begins, if a step falls between two executions of the model.
    """

    def __init__(
        self,
        schedule: Sequence[tuple[int, float]],
        averages: Sequence[WeightAverage] = (),
    ) -> None:
        super().__init__()
        self.schedule = list(schedule)
        self.averages = list(averages)
        self._done = 0

    def on_train_begin(self, logs: Any = None) -> None:
        """Checks that hooks will see each step."""
        self._done = 0
        stride = self.model.steps_per_execution
        for step, _ in self.schedule:
            if step % stride:
                raise ValueError(
                    f"a portion cannot be fixed at step {step}: with steps_per_execution={stride} "
                    f"callbacks act at multiples of {stride} only"
                )

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Fixes a portion, if it is time."""
        step = int(self.model.optimizer.iterations.numpy())
        due = [portion for at, portion in self.schedule if at <= step]
        if len(due) == self._done:
            return
        self._done = len(due)
        for wrapper in quantize_wrappers(self.model):
            for weight, quantizer, variables in wrapper.quantized_weights:
                if isinstance(quantizer, INQWeightQuantizer):
                    quantizer.fix(weight, variables, due[-1])
        # A model that goes on from a later step has averages that began there.
        if 0 <= step - self.schedule[-1][0] < self.model.steps_per_execution:
            for average in self.averages:
                average.begin_anew(step)


class Progress(keras.callbacks.Callback):
    """A progress line with loss, accuracy, speed and the time that remains.

    Args:
        bar: a `tqdm` bar whose total is the number of steps; it may outlive one `fit`.
    """

    def __init__(self, bar: tqdm) -> None:
        super().__init__()
        self.bar = bar

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Moves the bar."""
        logs = logs or {}
        shown = {k: f"{float(logs[k]):.3f}" for k in ("loss", "accuracy") if k in logs}
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update(int(self.model.optimizer.iterations.numpy()) - self.bar.n)


class LossLog(keras.callbacks.Callback):
    """Appends loss and accuracy on the training batches to a CSV file, as means over `every` steps.

    Args:
        path: the file; a header is written if it is new.
        every: steps a line stands for.
    """

    def __init__(self, path: Path, every: int = 50) -> None:
        super().__init__()
        self.path = Path(path)
        self.every = every

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Writes a line, if it is time, and starts the next mean."""
        done = int(self.model.optimizer.iterations.numpy())
        if done // self.every == (done - self.model.steps_per_execution) // self.every:
            return
        new = not self.path.exists() or not self.path.stat().st_size
        with self.path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["step", "loss", "accuracy"])
            writer.writerow([done - 1, *(f"{float(logs[k]):.6f}" for k in ("loss", "accuracy"))])
        self.model.reset_metrics()
