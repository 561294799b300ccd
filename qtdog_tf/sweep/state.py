"""What is there of a plan on the disk, which alone says what is done. Start from `run_state`."""

import dataclasses
import enum
from collections.abc import Iterator, Sequence
from pathlib import Path

from qtdog_tf.errors import UserError
from qtdog_tf.evaluation.run_folder import MODELS
from qtdog_tf.evaluation.run_values import check_values, read_values
from qtdog_tf.evaluation.saved_model import verify_archive
from qtdog_tf.files import read_json
from qtdog_tf.records import RAW
from qtdog_tf.sweep.mirror import models_elsewhere
from qtdog_tf.sweep.plan import BROKEN, EnsembleRun, Plan, TrialRuns
from qtdog_tf.training.finish import SUMMARY, model_file
from qtdog_tf.training.settings import TrainSettings


class State(enum.StrEnum):
    """Of a run or an ensemble."""

    FINISHED = "finished"
    BEGUN = "begun"
    MISSING = "missing"
    BROKEN = "broken"


@dataclasses.dataclass(frozen=True)
class RunState:
    """What is there of a run.

    Attributes:
        state: in a word.
        why: a sentence on what is broken, otherwise empty.
    """

    state: State
    why: str = ""


def models_of(settings: TrainSettings) -> list[str]:
    """The names of the model files that a finished run has."""
    kinds = (RAW, *settings.averages)
    return [model_file(choice, kind) for choice in ("last", "selected") for kind in kinds]


def run_state(folder: Path, models: Sequence[str]) -> RunState:
    """Looks at the folder of a run or an ensemble; nothing is changed.

    A finished run has a summary, which agrees with its run.json, and every model file, whole; or,
    where this folder is a mirror, listed as being in the shared folder, where files are whole.

    Args:
        folder: of the run.
        models: names of its model files.
    """
    if not (folder / SUMMARY).exists():
        begun = folder.is_dir() and any(folder.iterdir())
        return RunState(State.BEGUN if begun else State.MISSING)
    try:
        _check_records(folder)
        elsewhere = models_elsewhere(folder)
        for name in models:
            if name not in elsewhere:
                verify_archive(folder / name)
    except (UserError, OSError) as error:
        return RunState(State.BROKEN, str(error))
    return RunState(State.FINISHED)


def _check_records(folder: Path) -> None:
    summary, values = read_json(folder / SUMMARY), read_values(folder / "run.json")
    check_values(folder / "run.json", values)
    if not isinstance(summary, dict) or not isinstance(summary.get("rows"), dict):
        raise UserError(f"{folder / SUMMARY} is damaged (it holds no rows)")
    differing = [name for name, value in values.items() if summary.get(name) != value]
    if differing:
        raise UserError(f"{folder / SUMMARY} does not agree with run.json in {differing[0]}")


def trial_states(trial: TrialRuns) -> dict[Path, RunState]:
    """The states of a trial's runs, by folder."""
    models = models_of(trial.group.settings)
    return {folder: run_state(folder, models) for folder in trial.folders}


def ensemble_state(ensemble: EnsembleRun, members: Sequence[RunState]) -> RunState:
    """The state of an ensemble.

    Args:
        ensemble: of the plan.
        members: the states of its members. Without all of them an ensemble that is there is broken,
            since they will be other files when they are there again.

    Raises:
        UserError: if the folder is that of another choice of members.
    """
    own = run_state(ensemble.folder, [f"{MODELS[0]}.keras"])
    if own.state == State.FINISHED:
        ensemble.planned.check_folder(ensemble.group.folder)
    finished = all(member.state == State.FINISHED for member in members)
    if own.state in (State.FINISHED, State.BEGUN) and not finished:
        return RunState(State.BROKEN, f"{ensemble.folder} is of members that are not there")
    return own


def plan_states(plan: Plan) -> dict[Path, RunState]:
    """The states of all runs and ensembles of a plan, by folder.

    Raises:
        UserError: if the folder of an ensemble is that of another choice of members.
    """
    states: dict[Path, RunState] = {}
    for trial in plan.trials:
        states |= trial_states(trial)
    for ensemble in plan.ensembles:
        members = [states[folder] for folder in ensemble.members]
        states[ensemble.folder] = ensemble_state(ensemble, members)
    return states


def move_broken(output: Path, plan: Plan, states: dict[Path, RunState]) -> Iterator[str]:
    """Moves what is broken out of the way, so that it is done again.

    An ensemble goes before its members: whatever stops this, no ensemble of other members stays.

    Args:
        output: folder of the sweep; broken folders go to `broken/` in there.
        plan: of the sweep.
        states: of its runs; those that were moved become missing.

    Yields:
        A sentence for each.
    """
    ensembles = [ensemble.folder for ensemble in plan.ensembles]
    runs = [folder for trial in plan.trials for folder in trial.folders]
    for folder in (*ensembles, *runs):
        if states[folder].state == State.BROKEN:
            aside = _free_name(output / BROKEN / folder.relative_to(output))
            aside.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(aside)
            yield f"{states[folder].why}; moved to {aside}, and done again"
            states[folder] = RunState(State.MISSING)


def _free_name(path: Path) -> Path:
    number = 0
    while (path.parent / f"{path.name}-{number}").exists():
        number += 1
    return path.parent / f"{path.name}-{number}"
