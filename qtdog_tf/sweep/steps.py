"""How many training steps of a trial are done, by what its processes write while they work.

Logs and checkpoints are in the folder of the sweep, so this is known on whatever machine they run.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from qtdog_tf.runs import FLOAT_PHASE
from qtdog_tf.sweep.plan import TrialRuns
from qtdog_tf.sweep.state import RunState, State
from qtdog_tf.training.checkpoints import CheckpointStore
from qtdog_tf.training.finish import SUMMARY

# A line of loss.csv is shorter.
_LINE_BYTES = 100


def steps_done(trial: TrialRuns, states: Mapping[Path, RunState]) -> int:
    """Steps of a trial that need not be done any more, of `TrialRuns.steps`.

    Args:
        trial: of a plan.
        states: of its runs when the sweep began. What was finished then is not looked at again.
    """
    settings = trial.group.settings
    tail = settings.steps - settings.quantize_step
    variants = [
        tail
        if _is_finished(folder, states[folder])
        else max(0, step_reached(folder, states[folder]) - settings.quantize_step)
        for folder in trial.folders
    ]
    if all(done == tail for done in variants):
        return trial.steps
    return min(phase_step(trial.folder / FLOAT_PHASE), settings.quantize_step) + sum(variants)


def _is_finished(folder: Path, state: RunState) -> bool:
    begun = state.state in (State.BEGUN, State.MISSING)
    return state.state == State.FINISHED or (begun and (folder / SUMMARY).exists())


def step_reached(folder: Path, state: RunState) -> int:
    """Updates that a run has reached; 0 of a broken one, which will be done again."""
    return 0 if state.state == State.BROKEN else phase_step(folder)


def phase_step(folder: Path) -> int:
    """Updates that a phase has reached: by its log, or its last checkpoint if that is later."""
    saved = CheckpointStore(folder / "checkpoints").steps()
    return max(_last_step(folder / "loss.csv") + 1, *saved[-1:], 0)


def _last_step(path: Path) -> int:
    """The step of the last whole line of a loss.csv; -1 if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _LINE_BYTES))
            lines = file.read().split(b"\n")[:-1]
    except OSError:
        return -1
    steps = [line.split(b",")[0] for line in lines[-1:]]
    return int(steps[0]) if steps and steps[0].isdigit() else -1
