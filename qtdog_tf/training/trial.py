"""One trial: a choice of target domains and a split; a shared float phase, then its variants.

Variants fork from one full state at step K, so each equals, bit for bit, the run that would have
trained alone from step 0. That halves the cost of a comparison, and makes it a paired one.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from qtdog_tf.algorithms import AlgorithmSettings
from qtdog_tf.data.domains import DomainSet
from qtdog_tf.environment import numeric_environment
from qtdog_tf.errors import UserError
from qtdog_tf.files import read_json, remove_unfinished, write_json
from qtdog_tf.locks import hold
from qtdog_tf.quantization import quantize_wrappers
from qtdog_tf.records import RAW
from qtdog_tf.runs import FLOAT_PHASE, TIMES, claim_folder
from qtdog_tf.training.callbacks import FixPortions, Progress, StartQuantization
from qtdog_tf.training.finish import SUMMARY, save_models, write_summary
from qtdog_tf.training.interruption import Interruption
from qtdog_tf.training.memory import check_memory, predict_memory
from qtdog_tf.training.model_pool import ModelPool
from qtdog_tf.training.phase import PhaseFolder, PhaseState, copy_logs
from qtdog_tf.training.phase_run import SKIPPED, PhaseRun
from qtdog_tf.training.progress import PhaseProgress
from qtdog_tf.training.roles import Roles
from qtdog_tf.training.run_settings import RunSettings
from qtdog_tf.training.selection import KeepSelected
from qtdog_tf.training.settings import TrainSettings
from qtdog_tf.training.state import restore_state, unwrap_optimizer
from qtdog_tf.training.teacher import Teacher
from qtdog_tf.training.trial_data import TrialData
from qtdog_tf.training.variant_quantizers import quantizer_of
from qtdog_tf.training.variants import INQ, NOISE, Variant


def trial_folder(output: Path, roles: Roles, trial_seed: int) -> Path:
    """The folder of a trial, `<output>/<targets>-trial<k>`."""
    return Path(output) / f"{roles.name}-trial{trial_seed}"


def is_finished(folder: Path, variant: Variant) -> bool:
    """Whether a variant's summary is in the folder of its trial; it is written last."""
    return (folder / variant.name / SUMMARY).exists()


class Trial:
    """Trains the variants of one (targets, trial seed) in a folder, from wherever it got to.

    Args:
        settings: of the runs.
        domain_set: the data.
        roles: sources and targets.
        trial_seed: chooses the split.
        output: folder of all runs; the trial has its own in there.
        progress: shows how far the work is.
        run_settings: how the runs are carried out.
        algorithm: the training method. Default ERM.
        teacher: for distillation. Without validation images that it has not seen, the last step is
            selected.
        strategy: which devices train a run together, see `open_strategy`. Default: one.
    """

    def __init__(
        self,
        settings: TrainSettings,
        domain_set: DomainSet,
        roles: Roles,
        trial_seed: int,
        output: Path,
        progress: PhaseProgress,
        run_settings: RunSettings | None = None,
        algorithm: AlgorithmSettings | None = None,
        teacher: Teacher | None = None,
        strategy: tf.distribute.Strategy | None = None,
    ) -> None:
        self.settings = settings
        self.run_settings = run_settings or RunSettings()
        self.run_settings.check_with(settings.steps_per_execution)
        self.folder = trial_folder(output, roles, trial_seed)
        self.progress = progress
        self.algorithm = algorithm or AlgorithmSettings()
        replicas = strategy.num_replicas_in_sync if strategy else 1
        self.data = TrialData(settings, domain_set, roles, trial_seed, teacher, replicas)
        self._models = ModelPool(
            settings,
            len(domain_set.classes),
            self.data.seed,
            self.algorithm,
            len(roles.sources),
            teacher.load if teacher else None,
            strategy,
        )
        self._interruption = Interruption()
        self._memory_checked = False

    def run(self, variants: Sequence[Variant]) -> list[dict[str, Any]]:
        """Trains what is not finished yet; returns the summary of every variant, in order.

        Raises:
            Interrupted: by SIGTERM or Ctrl-C; the state is saved.
            UserError: if the folder belongs to other data or settings or is in use, or training
                cannot go on.
        """
        with hold(self.folder), self._interruption.listening():
            claim_folder(self.folder, "data.json", self.data.identity())
            remove_unfinished(self.folder)
            missing = [variant for variant in variants if not is_finished(self.folder, variant)]
            if missing:
                self._float_phase(missing)
            for variant in missing:
                self._interruption.check()
                self._run_variant(variant)
            for variant in variants:
                self._phase_folder(variant.name).checkpoints.clear()
        return [read_json(self.folder / variant.name / SUMMARY) for variant in variants]

    def _phase_folder(self, name: str) -> PhaseFolder:
        return PhaseFolder(
            self.folder / name,
            numeric_environment(self.data.replicas),
            self.run_settings.keep_checkpoints,
            self.run_settings.resume_elsewhere,
            lambda sentence: print(f"warning: {sentence}", file=sys.stderr),
        )

    def _keepers(self, from_step: int = 0) -> list[KeepSelected]:
        return [KeepSelected(kind, from_step) for kind in (RAW, *self.settings.averages)]

    def _float_phase(self, variants: Sequence[Variant]) -> None:
        """Trains to step K, unless its checkpoint says that this is done."""
        folder = self._phase_folder(FLOAT_PHASE)
        keepers = self._keepers()
        saved = folder.load()
        if saved is not None and saved.step == self.settings.quantize_step and not saved.pending:
            self.progress.skip(saved.step)
            return
        # With the bits of a variant, which then goes on with the same model.
        model = self._models.get(next((v.lsq_bits for v in variants if v.lsq_bits), None))
        if saved is not None:
            _resume(model, saved, keepers)
        folder.cut_logs(saved.step if saved else 0)
        self._train(model, folder, keepers, self.settings.quantize_step, saved)

    def _run_variant(self, variant: Variant) -> None:
        settings = self.settings
        folder = self._phase_folder(variant.name)
        keepers = self._keepers(self._selected_from(variant))
        make_quantizer = quantizer_of(variant, settings, self.data.seed)
        saved = folder.load()
        callbacks: list[keras.callbacks.Callback] = []
        moves: tuple[str, ...] = ()
        if saved:
            model = self._models.get(variant.lsq_bits, variant.wrapper_mode, make_quantizer)
            _resume(model, saved, keepers)
            folder.cut_logs(saved.step)
        else:
            shared = self._fork(folder)
            model = self._models.get(variant.lsq_bits)
            _resume(model, shared, keepers if keepers[0].from_step == 0 else [])
            callbacks.append(
                StartQuantization(settings.quantize_step, variant.wrapper_mode, make_quantizer)
            )
            moves = shared.moves
        if variant.mode == INQ:
            averages = unwrap_optimizer(model).averages
            callbacks.append(FixPortions(settings.portion_steps, averages))
        phase = self._train(
            model, folder, keepers, settings.steps, saved, callbacks, variant.member, moves
        )
        self._finish(variant, model, folder, phase)

    def _selected_from(self, variant: Variant) -> int:
        """The first step that may be selected."""
        settings = self.settings
        if self.data.validation.last_only:
            return settings.steps - 1
        if variant.mode == INQ:
            # Before, some of its weights are float.
            return settings.portion_steps[-1][0]
        return 0 if variant.is_erm or settings.select_from_float else settings.quantize_step

    def _finish(
        self, variant: Variant, model: keras.Model, folder: PhaseFolder, phase: PhaseRun
    ) -> None:
        """Writes the models of a run, and last its summary."""
        if variant.mode == NOISE:
            # A float model like any other, also in its file.
            self._models.get(variant.lsq_bits)
        elif variant.mode == INQ:
            # Nothing in these layers learns any more.
            for wrapper in quantize_wrappers(model):
                wrapper.set_mode("frozen")
        save_models(model, phase.keepers, phase.averages, folder.path, phase.statistics)
        names = ("data", "holdout", "split_by", "backbone", "image_size")
        identity = {name: getattr(self.settings, name) for name in names}
        identity["algorithm"] = self.algorithm.algorithm
        identity["initialization"] = self._models.initialization
        identity.update(self.data.identity())
        write_summary(
            model,
            variant,
            identity,
            folder.results.read(),
            folder.path,
            self._selected_from(variant),
            phase.marks,
        )
        folder.checkpoints.clear()

    def _check_memory(self, model: keras.Model) -> None:
        """Once: phases that come later take as much, and files may have gone by then."""
        if self._memory_checked or not self.run_settings.check_memory:
            return
        self._memory_checked = True
        sources = len(self.data.roles.sources)
        check_memory(predict_memory(model, self.settings, sources, self.data.kept_bytes))

    def _fork(self, folder: PhaseFolder) -> PhaseState:
        """Copies the logs of the float phase into a variant's folder; returns its full state."""
        shared = self._phase_folder(FLOAT_PHASE)
        saved = shared.load()
        if saved is None or saved.step != self.settings.quantize_step:
            raise UserError(f"the checkpoint in {shared.path} is gone: run the same command again")
        copy_logs(shared, folder, saved.step)
        if (shared.path / SKIPPED).exists():
            write_json(folder.path / SKIPPED, read_json(shared.path / SKIPPED))
        return saved

    def _train(
        self,
        model: keras.Model,
        folder: PhaseFolder,
        keepers: Sequence[KeepSelected],
        stop: int,
        saved: PhaseState | None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        member: int = 0,
        moves: Sequence[str] = (),
    ) -> PhaseRun:
        phase = PhaseRun(
            model,
            folder,
            self.data.batches(member),
            self.data.parts,
            self.settings,
            self.run_settings,
            keepers,
            self._interruption,
            saved,
            moves,
        )
        self._check_memory(model)
        start, name = phase.step, folder.path.name
        # Of the phase, not of what is left of it.
        first = 0 if stop == self.settings.quantize_step else self.settings.quantize_step
        self.progress.skip(start - first)
        began = time.monotonic()
        with self.progress.phase(f"{self.folder.name} {name}", start, stop) as bar:
            phase.run(stop, [*callbacks, Progress(bar)])
        self._log_time(name, stop - start, time.monotonic() - began)
        return phase

    def _log_time(self, name: str, steps: int, seconds: float) -> None:
        path = self.folder / TIMES
        times = read_json(path) if path.exists() else []
        write_json(path, [*times, {"phase": name, "steps": steps, "seconds": round(seconds, 1)}])


def _resume(model: keras.Model, saved: PhaseState, keepers: Sequence[KeepSelected]) -> None:
    """Puts the full state of a phase back."""
    restore_state(model, saved.state)
    saved.restore_averages(unwrap_optimizer(model).averages)
    saved.fill(keepers)
