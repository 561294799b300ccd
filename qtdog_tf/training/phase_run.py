"""Trains one phase with `fit`: evaluated, saved at every turn, and with a plain word on failure."""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from qtdog_tf.errors import UserError
from qtdog_tf.records import Evaluation
from qtdog_tf.training.bad_images import SkippedImages, unreadable
from qtdog_tf.training.batch_statistics import BatchStatistics
from qtdog_tf.training.batches import Batches
from qtdog_tf.training.callbacks import LossLog
from qtdog_tf.training.evaluation import DomainEvaluation, Part
from qtdog_tf.training.failures import bad_training_images, some
from qtdog_tf.training.interruption import Interrupted, Interruption
from qtdog_tf.training.phase import PhaseFolder, PhaseState
from qtdog_tf.training.run_settings import SKIP, RunSettings
from qtdog_tf.training.scalars import ScalarCollector
from qtdog_tf.training.selection import KeepSelected
from qtdog_tf.training.settings import TrainSettings
from qtdog_tf.training.state import metric_variables, unwrap_optimizer
from qtdog_tf.training.tensorboard import TensorBoardLog

SKIPPED = "skipped.json"


class PhaseRun(keras.callbacks.Callback):
    """A phase at work; as a callback it stands behind what changes the state.

    Args:
        model: whose full state has been restored, if the phase goes on.
        folder: of the phase.
        batches: of its steps.
        parts: what to evaluate on, given the paths of training images that are skipped.
        settings: of the run.
        run_settings: how it is carried out.
        keepers: one for each kind of weights, filled with what was kept before.
        interruption: asked between batches.
        resumed: what the phase goes on from; None if it begins.
        moves: see `PhaseState`; of the phase before, if this one begins.
    """

    def __init__(
        self,
        model: keras.Model,
        folder: PhaseFolder,
        batches: Batches,
        parts: Callable[[frozenset[str]], Sequence[Part]],
        settings: TrainSettings,
        run_settings: RunSettings,
        keepers: Sequence[KeepSelected],
        interruption: Interruption,
        resumed: PhaseState | None = None,
        moves: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.set_model(model)
        self.folder = folder
        self.batches = batches
        self.settings = settings
        self.run_settings = run_settings
        self.keepers = list(keepers)
        self.interruption = interruption
        self.averages = unwrap_optimizer(model).averages
        self.moves = tuple(resumed.moves if resumed else moves)
        self.skipped = SkippedImages(folder.path / SKIPPED)
        self._metrics = resumed.metrics if resumed else None
        self._tensorboard = TensorBoardLog(folder.path / "tensorboard")
        self._scalars = ScalarCollector()
        self._parts = parts
        self.statistics = BatchStatistics(self._first_inputs)
        self.evaluation = DomainEvaluation(
            parts(self.skipped.paths),
            every=settings.eval_every,
            last_step=settings.steps - 1,
            listeners=[*self.keepers, self._scalars],
            averages=self.averages,
            completed=[self._log],
            check=interruption.check,
            observers=[self._scalars.observe],
            statistics=self.statistics,
        )
        self.evaluation.set_model(model)
        self.evaluation.completed_step = self.step - 1
        if resumed:
            self.evaluation.told = resumed.told
            self.evaluation.completed_step -= resumed.pending

    @property
    def marks(self) -> dict[str, Any]:
        """What happened on the way and should be known with the result, by name."""
        marks: dict[str, Any] = {}
        if self.moves:
            marks["resumed_elsewhere"] = list(self.moves)
        if self.skipped.images:
            marks["skipped_images"] = len(self.skipped.images)
        if self.batches.replicas > 1:
            marks["replicas"] = self.batches.replicas
        return marks

    @property
    def step(self) -> int:
        """Updates done."""
        return int(self.model.optimizer.iterations.numpy())

    def run(self, stop: int, callbacks: Sequence[keras.callbacks.Callback] = ()) -> None:
        """Trains from where the model is to step `stop`, and saves there.

        Args:
            stop: updates at the end.
            callbacks: further ones, which act before those of the phase.

        Raises:
            Interrupted: if it was asked to stop; the state is saved.
            UserError: if the loss is not finite, or an image cannot be read.
        """
        self.folder.path.mkdir(parents=True, exist_ok=True)
        self._tensorboard.rewrite(self.folder.results.read(), self.folder.scalars.read())
        try:
            while self.step < stop or self.evaluation.is_pending(self.step - 1):
                self._go_on(stop, callbacks)
        except Interrupted:
            self.save()
            raise
        if self.folder.checkpoints.steps()[-1:] != [self.step]:
            self.save()

    def _go_on(self, stop: int, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        """Makes an evaluation good that was broken off, and trains, up to an image that is bad."""
        try:
            if self.evaluation.is_pending(self.step - 1):
                self.evaluation.evaluate(self.step - 1)
                self.save()
            if self.step < stop:
                batches = self._prepare(stop)
                everything = [*callbacks, LossLog(self.folder.losses), self.evaluation, self]
                self.model.fit(batches, verbose=0, shuffle=False, callbacks=everything)
        except tf.errors.OpError as error:
            self._metrics = self._running_sums()
            problems = bad_training_images(
                error,
                self.model,
                self.batches,
                self.skipped.paths,
                self.settings,
                self.folder.checkpoints,
            )
            if self.run_settings.on_bad_image != SKIP:
                raise UserError(
                    f"image {some(problems)}: it was needed at step {self.step}; mend it and the "
                    "same command goes on, or add --on_bad_image=skip"
                ) from error
            self._skip(problems)

    def _prepare(self, stop: int) -> tf.data.Dataset:
        """The batches of the steps that remain; files that have gone since are looked for."""
        try:
            return self.batches.between(self.step, stop, self.skipped.paths)
        except UserError:
            if self.run_settings.on_bad_image != SKIP:
                raise
            problems = unreadable(self.batches.all_paths(self.skipped.paths))
            if not problems:
                raise
            self._skip(problems)
        return self.batches.between(self.step, stop, self.skipped.paths)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Puts back the running sums of the metrics, which `fit` has just set to zero."""
        if self._metrics is not None:
            for variable, value in zip(metric_variables(self.model), self._metrics, strict=True):
                variable.assign(value)
            self._metrics = None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Saves, if it is time; stops, if somebody asked."""
        every = self.run_settings.checkpoint_every
        before = self.step - self.model.steps_per_execution
        is_time = every and self.step // every > before // every
        if is_time or self.evaluation.is_due(self.step - 1):
            self.save()
        self.interruption.check()

    def save(self) -> None:
        """Writes the full state."""
        self.folder.save(
            self.model,
            self.keepers,
            self.averages,
            metrics=self._running_sums(),
            told=self.evaluation.told,
            pending=self.evaluation.is_pending(self.step - 1),
            moves=self.moves,
        )

    def _running_sums(self) -> list[np.ndarray]:
        """Those of the metrics; of a phase that goes on, which has yet to put them back, too."""
        if self._metrics is not None:
            return self._metrics
        return [variable.numpy() for variable in metric_variables(self.model)]

    def _first_inputs(self) -> Iterator[Any]:
        """Inputs of the first batches of training, the same ones at any time."""
        count = self.settings.batch_norm_batches
        for inputs, _ in self.batches.between(0, count, self.skipped.paths):
            self.interruption.check()
            yield inputs

    def _log(self, records: list[Evaluation]) -> None:
        scalars = self._scalars.take(records[0].step)
        self.folder.results.append(records)
        self.folder.scalars.append(scalars)
        self._tensorboard.add(records, scalars)

    def _skip(self, problems: dict[str, str]) -> None:
        self.skipped.add(self.step, problems)
        self.evaluation.parts = list(self._parts(self.skipped.paths))
        print(
            f"warning: skipped from step {self.step} on: {some(problems)}; listed in "
            f"{self.skipped.path}",
            file=sys.stderr,
        )
