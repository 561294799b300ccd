"""A stretch of training steps in one folder: resumable, evaluated, checkpointed.

The float phase (steps 0 to K) and each variant (steps K to the end) are phases.
"""

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from qtdog_tf.data import training_batches, without_domains
from qtdog_tf.data.domains import DomainSet
from qtdog_tf.data.splits import Split
from qtdog_tf.files import read_arrays, write_arrays, write_text
from qtdog_tf.records import Evaluation
from qtdog_tf.runs import ResultsLog
from qtdog_tf.training.evaluation import DomainEvaluation
from qtdog_tf.training.selection import KeepSelected
from qtdog_tf.training.state import State, capture_state

MEBIBYTE = 2**20


@dataclasses.dataclass(frozen=True)
class Batches:
    """What is needed to draw the training batches of any step; see `training_batches`."""

    domain_set: DomainSet
    splits: dict[str, Split]
    sources: tuple[str, ...]
    image_size: int
    images_per_domain: int
    seed: int
    cache_mb: int

    def between(self, start: int, stop: int) -> tf.data.Dataset:
        """The batches of steps `start` to `stop` - 1, as (image, label)."""
        return without_domains(
            training_batches(
                self.domain_set,
                self.splits,
                self.sources,
                image_size=self.image_size,
                images_per_domain=self.images_per_domain,
                seed=self.seed,
                start_step=start,
                stop_step=stop,
                cache_bytes=self.cache_mb * MEBIBYTE,
            )
        )


class PhaseFolder:
    """The files of a phase.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.results = ResultsLog(self.path / "results.jsonl")
        self.losses = self.path / "loss.csv"
        self.checkpoint = self.path / "checkpoint.npz"

    def save(self, model: keras.Model, keepers: Sequence[KeepSelected]) -> None:
        """Writes the full state to the checkpoint."""
        arrays = {f"state/{name}": value for name, value in capture_state(model).items()}
        kept: list[Any] = []
        for number, keeper in enumerate(keepers):
            kept.append(keeper.evaluation.to_dict() if keeper.evaluation else None)
            arrays.update({f"kept{number}/{i:04d}": v for i, v in enumerate(keeper.values)})
        step = int(model.optimizer.iterations.numpy())
        write_arrays(self.checkpoint, arrays, {"step": step, "kept": kept})

    def load(self, keepers: Sequence[KeepSelected] = ()) -> tuple[int, State] | None:
        """Reads the checkpoint, cuts the logs back to it and fills the keepers.

        Returns:
            (updates done, state), or None if there is no checkpoint.

        Raises:
            UserError: if the checkpoint is damaged.
        """
        if not self.checkpoint.exists():
            return None
        arrays, metadata = read_arrays(self.checkpoint)
        for number, keeper in enumerate(keepers):
            kept = metadata["kept"][number]
            keeper.evaluation = Evaluation.from_dict(kept) if kept else None
            keeper.values = _numbered(arrays, f"kept{number}/")
        step = metadata["step"]
        self.cut_logs(step)
        state = {k.removeprefix("state/"): v for k, v in arrays.items() if k.startswith("state/")}
        return step, state

    def cut_logs(self, step: int) -> None:
        """Removes what was logged for steps from `step` on: it will be done again."""
        before = self.results.read()
        kept = [e for e in before if e.step < step]
        if len(kept) < len(before):
            self.results.rewrite(kept)
        if self.losses.exists():
            with self.losses.open(newline="") as file:
                header, *rows = list(csv.reader(file)) or [[]]
            lines = [header, *(row for row in rows if row and int(row[0]) < step)]
            write_text(self.losses, "".join(",".join(row) + "\n" for row in lines))


def _numbered(arrays: State, prefix: str) -> list[np.ndarray]:
    return [arrays[name] for name in sorted(arrays) if name.startswith(prefix)]


class Checkpoint(keras.callbacks.Callback):
    """Saves the full state after each evaluation; stands behind `DomainEvaluation` in the list.

    Args:
        folder: where.
        evaluation: says after which steps.
        keepers: their selected weights are part of the state.
    """

    def __init__(
        self,
        folder: PhaseFolder,
        evaluation: DomainEvaluation,
        keepers: Sequence[KeepSelected] = (),
    ) -> None:
        super().__init__()
        self.folder = folder
        self.evaluation = evaluation
        self.keepers = tuple(keepers)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Saves, if the model was just evaluated."""
        if self.evaluation.is_due(int(self.model.optimizer.iterations.numpy()) - 1):
            self.folder.save(self.model, self.keepers)
