"""One trial: a choice of target domains and a split; a shared float phase, then its variants.

Variants fork from one full state at step K, so each equals, bit for bit, the run that would have
trained alone from step 0. That halves the cost of a comparison, and makes it a paired one.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from qtdog_tf.data import CachePlan, plan_cache, split_domains, split_fingerprint
from qtdog_tf.data.domains import DomainSet
from qtdog_tf.errors import UserError
from qtdog_tf.files import read_json, write_json, write_text
from qtdog_tf.records import IN, OUT, RAW, SMA
from qtdog_tf.runs import claim_folder
from qtdog_tf.training.callbacks import LossLog, Progress, StartQuantization
from qtdog_tf.training.evaluation import DomainEvaluation, Part
from qtdog_tf.training.finish import SUMMARY, save_models, write_summary
from qtdog_tf.training.model import ModelPool, derive_seed
from qtdog_tf.training.parts import evaluation_parts
from qtdog_tf.training.phase import MEBIBYTE, Batches, Checkpoint, PhaseFolder
from qtdog_tf.training.progress import PhaseProgress
from qtdog_tf.training.roles import Roles
from qtdog_tf.training.selection import KeepSelected
from qtdog_tf.training.settings import TrainSettings
from qtdog_tf.training.state import State, restore_state, unwrap_optimizer
from qtdog_tf.training.tensorboard import TensorBoardLog
from qtdog_tf.training.variants import Variant


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

    Raises:
        UserError: if the folder belongs to other data or other settings.
    """

    def __init__(
        self,
        settings: TrainSettings,
        domain_set: DomainSet,
        roles: Roles,
        trial_seed: int,
        output: Path,
        progress: PhaseProgress,
    ) -> None:
        self.settings = settings
        self.domain_set = domain_set
        self.roles = roles
        self.trial_seed = trial_seed
        self.folder = trial_folder(output, roles, trial_seed)
        self.progress = progress
        self.splits = split_domains(
            domain_set, trial_seed, settings.holdout, settings.split_by or None
        )
        self.seed = derive_seed(settings.seed, trial_seed, roles.sources, roles.targets)
        claim_folder(self.folder, "data.json", self._data_identity())
        self._parts: list[Part] | None = None
        self._models = ModelPool(settings, len(domain_set.classes), self.seed)

    def _data_identity(self) -> dict[str, Any]:
        images = {
            name: {IN: len(split.in_), OUT: len(split.out)} for name, split in self.splits.items()
        }
        return {
            "sources": self.roles.sources,
            "targets": self.roles.targets,
            "trial_seed": self.trial_seed,
            "classes": self.domain_set.classes,
            "images": images,
            "listing": self.domain_set.fingerprint(),
            "split": split_fingerprint(self.splits),
        }

    def run(self, variants: Sequence[Variant]) -> list[dict[str, Any]]:
        """Trains what is not finished yet; returns the summary of every variant, in order."""
        missing = [variant for variant in variants if not is_finished(self.folder, variant)]
        if missing:
            self._float_phase(missing)
        for variant in missing:
            self._run_variant(variant)
        return [read_json(self.folder / variant.name / SUMMARY) for variant in variants]

    @property
    def parts(self) -> list[Part]:
        """What every evaluation looks at."""
        if self._parts is None:
            self._parts = evaluation_parts(
                self.domain_set, self.splits, self.roles, self.settings.image_size
            )
        return self._parts

    @property
    def cache_plan(self) -> CachePlan:
        """What keeping the training images in memory takes; as text, a sentence for the user."""
        limit = self.settings.cache_mb * MEBIBYTE
        return plan_cache(self.domain_set, self.splits, self.roles.sources, limit)

    def batches(self, start: int, stop: int, member: int = 0) -> Any:
        """The training batches of steps `start` to `stop` - 1.

        Args:
            start: the first step.
            stop: the step after the last.
            member: another one than 0 draws other images and augmentations, see `Variant`.
        """
        return Batches(
            self.domain_set,
            self.splits,
            self.roles.sources,
            self.settings.image_size,
            self.settings.images_per_domain,
            derive_seed(self.seed, "member", member) if member else self.seed,
            self.settings.cache_mb,
        ).between(start, stop)

    def _float_phase(self, variants: Sequence[Variant]) -> None:
        """Trains to step K, unless its checkpoint says that this is done."""
        folder = PhaseFolder(self.folder / "float")
        keepers = [KeepSelected(RAW), KeepSelected(SMA)]
        start, state = folder.load(keepers) or (0, None)
        if state is not None and start == self.settings.quantize_step:
            return
        # With the bits of a variant, which then goes on with the same model.
        model = self._models.get(next((v.bits for v in variants if v.quantized), None))
        if state is not None:
            restore_state(model, state)
        else:
            folder.cut_logs(0)
        self._fit(model, folder, "float phase", start, self.settings.quantize_step, keepers)
        folder.save(model, keepers)

    def _run_variant(self, variant: Variant) -> None:
        settings = self.settings
        folder = PhaseFolder(self.folder / variant.name)
        from_step = 0 if variant.is_erm or settings.select_from_float else settings.quantize_step
        keepers = [KeepSelected(RAW, from_step), KeepSelected(SMA, from_step)]
        bits = variant.bits if variant.quantized else None
        loaded = folder.load(keepers)
        if loaded:
            start, state = loaded
            model = self._models.get(bits, variant.mode)
            switch = None
        else:
            start, state = self._fork(folder, keepers if from_step == 0 else [])
            model = self._models.get(bits)
            switch = StartQuantization(settings.quantize_step, variant.mode)
        restore_state(model, state)
        member = variant.member
        self._fit(model, folder, variant.name, start, settings.steps, keepers, switch, member)
        save_models(model, keepers, folder.path)
        names = ("data", "holdout", "split_by", "backbone", "image_size")
        identity = {name: getattr(settings, name) for name in names}
        identity.update(self._data_identity())
        write_summary(model, variant, identity, folder.results.read(), folder.path, from_step)
        folder.checkpoint.unlink(missing_ok=True)

    def _fork(self, folder: PhaseFolder, keepers: Sequence[KeepSelected]) -> tuple[int, State]:
        """Copies the logs of the float phase into a variant's folder; returns its full state."""
        shared = PhaseFolder(self.folder / "float")
        loaded = shared.load(keepers)
        if loaded is None:
            raise UserError(f"{shared.checkpoint} is gone: run the same command again")
        folder.results.rewrite(shared.results.read())
        if shared.losses.exists():
            write_text(folder.losses, shared.losses.read_text(encoding="utf-8"))
        return loaded

    def _fit(
        self,
        model: keras.Model,
        folder: PhaseFolder,
        name: str,
        start: int,
        stop: int,
        keepers: Sequence[KeepSelected],
        switch: StartQuantization | None = None,
        member: int = 0,
    ) -> None:
        if start >= stop:
            return
        folder.path.mkdir(parents=True, exist_ok=True)
        evaluation = DomainEvaluation(
            self.parts,
            every=self.settings.eval_every,
            last_step=self.settings.steps - 1,
            listeners=[
                lambda record, _: folder.results.append(record),
                TensorBoardLog(folder.path / "tensorboard"),
                *keepers,
            ],
            average=unwrap_optimizer(model).averages[0],
        )
        with self.progress.phase(f"{self.folder.name} {name}", start, stop) as bar:
            callbacks = [
                *([switch] if switch else []),
                LossLog(folder.losses),
                evaluation,
                Checkpoint(folder, evaluation, keepers),
                Progress(bar),
            ]
            began = time.time()
            batches = self.batches(start, stop, member)
            model.fit(batches, verbose=0, shuffle=False, callbacks=callbacks)
            self._log_time(name, stop - start, time.time() - began)

    def _log_time(self, name: str, steps: int, seconds: float) -> None:
        path = self.folder / "times.json"
        times = read_json(path) if path.exists() else []
        write_json(path, [*times, {"phase": name, "steps": steps, "seconds": round(seconds, 1)}])
