"""One trial: a choice of target domains and a split; a shared float phase, then its variants.

Variants fork from one full state at step K, so each equals, bit for bit, the run that would have
trained alone from step 0. That halves the cost of a comparison, and makes it a paired one.
"""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from qtdog_tf.quantization.size import model_size

from qtdog_tf.data import evaluation_batches, split_domains, split_fingerprint
from qtdog_tf.data.domains import DomainSet
from qtdog_tf.files import read_json, replacing, write_json
from qtdog_tf.runs import claim_folder
from qtdog_tf.training.callbacks import LossLog, Progress, StartQuantization
from qtdog_tf.training.evaluation import (
    IN,
    OUT,
    RAW,
    SMA,
    SOURCE,
    TARGET,
    DomainEvaluation,
    Evaluation,
    Part,
)
from qtdog_tf.training.model import ModelPool, derive_seed
from qtdog_tf.training.phase import Batches, Checkpoint, PhaseFolder
from qtdog_tf.training.progress import PhaseProgress
from qtdog_tf.training.roles import Roles
from qtdog_tf.training.selection import KeepSelected
from qtdog_tf.training.settings import TrainSettings
from qtdog_tf.training.state import State, capture_state, restore_state, unwrap_optimizer
from qtdog_tf.training.summary import summarize
from qtdog_tf.training.variants import Variant

MODEL_FILES = {RAW: ("selected.keras", "last.keras"), SMA: ("selected_sma.keras", "last_sma.keras")}
EVALUATION_BATCH = 64


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
        self.folder = Path(output) / f"{roles.name}-trial{trial_seed}"
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
        if any(not self.is_finished(variant) for variant in variants):
            float_state = self._float_phase(variants)
            for variant in variants:
                if not self.is_finished(variant):
                    self._run_variant(variant, float_state)
        return [read_json(self.folder / variant.name / "summary.json") for variant in variants]

    def is_finished(self, variant: Variant) -> bool:
        """Whether the variant's summary is there, which is written last."""
        return (self.folder / variant.name / "summary.json").exists()

    @property
    def parts(self) -> list[Part]:
        """What every evaluation looks at."""
        if self._parts is None:
            chosen = [(name, SOURCE, OUT, False) for name in self.roles.sources]
            chosen += [
                (name, TARGET, split, False) for name in self.roles.targets for split in (IN, OUT)
            ]
            chosen += [(name, SOURCE, IN, True) for name in self.roles.sources]
            self._parts = [self._part(*choice) for choice in chosen]
        return self._parts

    def _part(self, name: str, role: str, split: str, last_only: bool) -> Part:
        domain = self.domain_set.domain(name)
        indices = self.splits[name].in_ if split == IN else self.splits[name].out
        batches = evaluation_batches(
            domain, indices, image_size=self.settings.image_size, batch_size=EVALUATION_BATCH
        )
        images = batches.map(lambda image, label: image)
        return Part(name, role, split, images, domain.labels[np.asarray(indices)], last_only)

    def _batches(self, start: int, stop: int) -> Any:
        return Batches(
            self.domain_set,
            self.splits,
            self.roles.sources,
            self.settings.image_size,
            self.settings.images_per_domain,
            self.seed,
            self.settings.cache_mb,
        ).between(start, stop)

    def _float_phase(self, variants: Sequence[Variant]) -> State:
        """The full state at step K, trained now or read from its checkpoint."""
        settings = self.settings
        folder = PhaseFolder(self.folder / "float")
        loaded = folder.load()
        if loaded and loaded[0] == settings.quantize_step:
            return loaded[1]
        # With the bits of a variant, which then goes on with the same model.
        bits = next((v.bits for v in variants if v.quantized), None)
        model = self._models.get(bits)
        start = 0
        if loaded:
            start, state = loaded
            restore_state(model, state)
        else:
            folder.cut_logs(0)
        self._fit(model, folder, "float phase", start, settings.quantize_step, [], None)
        folder.save(model, [])
        return capture_state(model)

    def _run_variant(self, variant: Variant, float_state: State) -> None:
        settings = self.settings
        folder = PhaseFolder(self.folder / variant.name)
        keepers = [
            KeepSelected(
                weights, quantized=variant.quantized, include_float=settings.select_from_float
            )
            for weights in (RAW, SMA)
        ]
        bits = variant.bits if variant.quantized else None
        loaded = folder.load(keepers)
        if loaded:
            start, state = loaded
            model = self._models.get(bits, variant.mode)
            restore_state(model, state)
            switch = None
        else:
            start = settings.quantize_step
            model = self._models.get(bits)
            restore_state(model, float_state)
            self._fork_logs(folder, keepers)
            switch = StartQuantization(settings.quantize_step, variant.mode)
        self._fit(model, folder, variant.name, start, settings.steps, keepers, switch)
        self._finish(model, variant, folder, keepers)

    def _fork_logs(self, folder: PhaseFolder, keepers: Sequence[KeepSelected]) -> None:
        shared = PhaseFolder(self.folder / "float")
        folder.results.rewrite(shared.results.read())
        if shared.losses.exists():
            folder.losses.write_bytes(shared.losses.read_bytes())

    def _fit(
        self,
        model: keras.Model,
        folder: PhaseFolder,
        name: str,
        start: int,
        stop: int,
        keepers: Sequence[KeepSelected],
        switch: StartQuantization | None,
    ) -> None:
        if start >= stop:
            return
        folder.path.mkdir(parents=True, exist_ok=True)
        evaluation = DomainEvaluation(
            self.parts,
            every=self.settings.eval_every,
            last_step=self.settings.steps - 1,
            listeners=[lambda record, _: folder.results.append(record), *keepers],
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
            model.fit(self._batches(start, stop), verbose=0, shuffle=False, callbacks=callbacks)
            self._log_time(name, stop - start, time.time() - began)

    def _log_time(self, name: str, steps: int, seconds: float) -> None:
        path = self.folder / "times.json"
        times = read_json(path) if path.exists() else []
        write_json(path, [*times, {"phase": name, "steps": steps, "seconds": round(seconds, 1)}])

    def _finish(
        self,
        model: keras.Model,
        variant: Variant,
        folder: PhaseFolder,
        keepers: Sequence[KeepSelected],
    ) -> None:
        """Writes the models and, as the last thing, the summary."""
        average = unwrap_optimizer(model).averages[0]
        save_model(model, folder.path / MODEL_FILES[RAW][1])
        with average.applied():
            save_model(model, folder.path / MODEL_FILES[SMA][1])
        for keeper in keepers:
            model.set_weights(keeper.values)
            save_model(model, folder.path / MODEL_FILES[keeper.weights][0])
        size = model_size(model)
        identity = {
            "variant": dataclasses.asdict(variant),
            "backbone": self.settings.backbone,
            "image_size": self.settings.image_size,
            **self._data_identity(),
        }
        write_json(folder.path / "run.json", identity)
        evaluations: list[Evaluation] = folder.results.read()
        summary = summarize(evaluations, variant, include_float=self.settings.select_from_float)
        write_json(folder.path / "summary.json", {**identity, **summary, **size_entry(size)})
        folder.checkpoint.unlink(missing_ok=True)


def size_entry(size: Any) -> dict[str, Any]:
    """The sizes of a model for its summary, bytes."""
    return {"bytes": size.packed_bytes, "float_bytes": size.float_bytes}


def save_model(model: keras.Model, path: Path) -> None:
    """Saves a model for inference as a `.keras` file, in one go, without its optimizer."""
    with replacing(path) as temporary:
        keras.Model(model.input, model.output, name=model.name).save(temporary)
