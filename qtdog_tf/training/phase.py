"""A stretch of training steps in one folder: resumable, evaluated, checkpointed.

The float phase (steps 0 to K) and each variant (steps K to the end) are phases.
"""

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from qtdog_tf.averaging.base import AverageState, WeightAverage
from qtdog_tf.environment import differences
from qtdog_tf.errors import UserError
from qtdog_tf.records import Evaluation
from qtdog_tf.runs import ResultsLog
from qtdog_tf.training.checkpoints import Checkpoint, CheckpointStore
from qtdog_tf.training.scalars import ScalarsLog
from qtdog_tf.training.selection import KeepSelected
from qtdog_tf.training.state import State, capture_state


@dataclasses.dataclass(frozen=True)
class PhaseState:
    """A phase as it was saved.

    Attributes:
        step: updates done.
        state: of the model and its optimizers, see `capture_state`.
        metrics: running sums of the metrics.
        kept: what each `KeepSelected` has kept, by kind of weights.
        averages: by name, see `WeightAverage.capture`.
        told: see `DomainEvaluation`.
        pending: whether the evaluation after the last step was broken off.
        moves: changes of the environment that training went through, as sentences.
    """

    step: int
    state: State
    metrics: list[np.ndarray]
    kept: dict[str, tuple[Evaluation, list[np.ndarray]]]
    averages: dict[str, AverageState]
    told: int
    pending: bool
    moves: tuple[str, ...] = ()

    def fill(self, keepers: Sequence[KeepSelected]) -> None:
        """Gives the keepers what they had kept."""
        for keeper in keepers:
            if keeper.weights in self.kept:
                keeper.evaluation, keeper.values = self.kept[keeper.weights]

    def restore_averages(self, averages: Sequence[WeightAverage]) -> None:
        """Gives the averages what is not in the optimizer's variables."""
        for average in averages:
            average.restore(self.averages[average.name])


class PhaseFolder:
    """The files of a phase.

    Args:
        path: the folder.
        environment: of this process, see `numeric_environment`.
        keep: checkpoints kept.
        move: whether to go on from a checkpoint of another environment.
        report: called with a sentence if a damaged checkpoint is passed over.
    """

    def __init__(
        self,
        path: Path,
        environment: dict[str, str],
        keep: int = 2,
        move: bool = False,
        report: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self.path = Path(path)
        self.environment = environment
        self.results = ResultsLog(self.path / "results.jsonl")
        self.losses = self.path / "loss.csv"
        self.scalars = ScalarsLog(self.path / "scalars.jsonl")
        self.checkpoints = CheckpointStore(self.path / "checkpoints", keep)
        self._move = move
        self._report = report

    def save(
        self,
        model: keras.Model,
        keepers: Sequence[KeepSelected],
        averages: Sequence[WeightAverage],
        *,
        metrics: Sequence[np.ndarray],
        told: int,
        pending: bool,
        moves: Sequence[str] = (),
    ) -> None:
        """Writes the full state; the arguments are those of `PhaseState`."""
        step = int(model.optimizer.iterations.numpy())
        arrays = {f"state/{name}": value for name, value in capture_state(model).items()}
        for number, value in enumerate(metrics):
            arrays[f"metrics/{number:04d}"] = np.asarray(value)
        sets: dict[str, list[np.ndarray]] = {}
        kept = {}
        for keeper in keepers:
            if keeper.evaluation is not None:
                name = f"selected-{keeper.weights}-{keeper.evaluation.step:06d}"
                kept[keeper.weights] = {"set": name, "evaluation": keeper.evaluation.to_dict()}
                sets[name] = keeper.values
        averaged = {}
        for average in averages:
            captured = average.capture()
            averaged[average.name] = {"plain": captured.plain, "sets": list(captured.arrays)}
            sets.update(captured.arrays)
        plain = {
            "kept": kept,
            "averages": averaged,
            "told": told,
            "pending": pending,
            "moves": list(moves),
            "environment": self.environment,
            "logs": {path.name: _synced_size(path) for path in self._logs},
        }
        self.checkpoints.save(step, arrays, plain, sets)

    def load(self) -> PhaseState | None:
        """The newest whole checkpoint; None if there is none.

        Raises:
            UserError: if all are damaged, or it is one of another environment.
        """
        found = self.checkpoints.load(self._report, self._check_logs)
        return None if found is None else self._phase_state(found)

    def cut_logs(self, step: int) -> None:
        """Cuts the logs back to what they were at a checkpoint; 0 for the beginning."""
        sizes = self.checkpoints.load_plain(step)["logs"] if step else {}
        for path in self._logs:
            if path.exists():
                os.truncate(path, sizes.get(path.name, 0))

    @property
    def _logs(self) -> tuple[Path, ...]:
        return self.results.path, self.losses, self.scalars.path

    def _check_logs(self, found: Checkpoint) -> None:
        for path in self._logs:
            size = path.stat().st_size if path.exists() else 0
            # One that a checkpoint of an older version does not know begins there.
            if size < found.plain["logs"].get(path.name, 0):
                raise UserError(f"{path} is shorter than it was at step {found.step}")

    def _phase_state(self, found: Checkpoint) -> PhaseState:
        plain = found.plain
        moves = tuple(plain["moves"])
        changed = differences(plain["environment"], self.environment)
        if changed:
            sentence = f"from step {found.step} on: {'; '.join(changed)}"
            if not self._move:
                raise UserError(
                    f"the checkpoint in {self.checkpoints.folder} was made under other conditions "
                    f"({'; '.join(changed)}), which give other bits: go on under those, or add "
                    "--resume_elsewhere, which marks the result"
                )
            moves = (*moves, sentence)
        return PhaseState(
            step=found.step,
            state=_under(found.arrays, "state/"),
            metrics=[v for _, v in sorted(_under(found.arrays, "metrics/").items())],
            kept={
                weights: (Evaluation.from_dict(kept["evaluation"]), found.sets[kept["set"]])
                for weights, kept in plain["kept"].items()
            },
            averages={
                name: AverageState(saved["plain"], {s: found.sets[s] for s in saved["sets"]})
                for name, saved in plain["averages"].items()
            },
            told=plain["told"],
            pending=plain["pending"],
            moves=moves,
        )


def _under(arrays: State, prefix: str) -> State:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def _synced_size(path: Path) -> int:
    """Bytes of a log, which are on the disk when this returns; a checkpoint counts on them."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_size


def copy_logs(source: PhaseFolder, destination: PhaseFolder, step: int) -> None:
    """Begins the logs of a fork with those of the phase that it forks from, up to `step`."""
    sizes: dict[str, Any] = source.checkpoints.load_plain(step)["logs"]
    for mine, theirs in zip(destination._logs, source._logs, strict=True):
        mine.parent.mkdir(parents=True, exist_ok=True)
        mine.unlink(missing_ok=True)
        if theirs.exists():
            mine.write_bytes(theirs.read_bytes()[: sizes.get(theirs.name, 0)])
