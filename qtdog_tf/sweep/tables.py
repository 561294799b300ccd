"""Tables of a sweep: the plan before it, what became of each run after it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from qtdog_tf.evaluation.outcome import outcome
from qtdog_tf.files import read_json
from qtdog_tf.sweep.estimate import makespan, seconds_left
from qtdog_tf.sweep.plan import Group, Plan, TrialRuns
from qtdog_tf.sweep.probe import Speed
from qtdog_tf.sweep.state import RunState, State
from qtdog_tf.sweep.steps import steps_done
from qtdog_tf.sweep.task import TaskResult
from qtdog_tf.tables import format_table
from qtdog_tf.training.finish import SUMMARY

States = Mapping[Path, RunState]
_NO_SPEED = Speed(0.0, 0.0)


def plan_table(plan: Plan, states: States, speeds: Mapping[str, Speed], workers: int) -> str:
    """Runs, steps and hours of each group, and of all with that many workers.

    Args:
        plan: the plan.
        states: of its runs.
        speeds: by group; one in which nothing is left needs none. Of another one that has none the
            hours are not known.
        workers: tasks at once.
    """
    seconds = {trial.name: _seconds(trial, states, speeds) for trial in plan.trials}
    rows = [_plan_row(plan, group, states, speeds, seconds) for group in plan.groups]
    header = ["group", "trials", "runs", "ensembles", *State, "steps to do", "s/step", "ms/image"]
    text = format_table([*header, "hours"], rows)
    hours = makespan(list(seconds.values()), workers) / 3600
    unknown = [
        group.name
        for group in plan.groups
        if group.name not in speeds and _steps_left(plan, group, states)
    ]
    rest = f", without {', '.join(unknown)}, whose teacher is not there yet" if unknown else ""
    total = f"With {_several(workers, 'worker')}: about {hours:.2f} hours{rest}."
    return f"{text}\n{PLAN_LEGEND}\n{total}"


PLAN_LEGEND = """\
A trial is one choice of targets and one split, whose runs share steps 0 to quantize_step. finished
to broken: runs. Hours are those that are left on one worker, evaluations and start-up included."""


def _plan_row(
    plan: Plan,
    group: Group,
    states: States,
    speeds: Mapping[str, Speed],
    seconds: Mapping[str, float],
) -> list[str]:
    trials = [trial for trial in plan.trials if trial.group is group]
    folders = [folder for trial in trials for folder in trial.folders]
    speed = speeds.get(group.name)
    return [
        group.name,
        str(len(trials)),
        str(len(folders)),
        str(sum(ensemble.group is group for ensemble in plan.ensembles)),
        *_counts(folders, states),
        str(_steps_left(plan, group, states)),
        f"{speed.step:.3f}" if speed else "-",
        f"{1000 * speed.image:.2f}" if speed else "-",
        f"{sum(seconds[trial.name] for trial in trials) / 3600:.2f}",
    ]


def _steps_left(plan: Plan, group: Group, states: States) -> int:
    trials = [trial for trial in plan.trials if trial.group is group]
    return sum(trial.steps - steps_done(trial, states) for trial in trials)


def _seconds(trial: TrialRuns, states: States, speeds: Mapping[str, Speed]) -> float:
    return seconds_left(trial, states, speeds.get(trial.group.name, _NO_SPEED))


def _counts(folders: Sequence[Path], states: States) -> list[str]:
    counts = Counter(states[folder].state for folder in folders)
    return [str(counts[state]) for state in State]


def _several(count: int, what: str) -> str:
    return f"{count} {what}" + ("s" if count > 1 else "")


def state_table(plan: Plan, states: States) -> str:
    """How many runs of each group and variant are finished, begun, missing and broken."""
    folders: dict[tuple[str, str], list[Path]] = {}
    for trial in plan.trials:
        for folder in trial.folders:
            folders.setdefault((trial.group.name, folder.name), []).append(folder)
    for ensemble in plan.ensembles:
        key = ensemble.group.name, f"{ensemble.folder.name}, ensemble"
        folders.setdefault(key, []).append(ensemble.folder)
    rows = [
        [f"{group}: {variant}", str(len(states_of)), *_counts(states_of, states)]
        for (group, variant), states_of in folders.items()
    ]
    return format_table(["group and variant", "runs", *State], rows)


def failures(failed: Mapping[str, TaskResult], blocked: Sequence[str]) -> str:
    """What failed and why, a line each, and what could not begin for that reason."""
    lines = [f"  {name} (code {r.code}): {r.error}" for name, r in failed.items()]
    lines += [f"  {name}: not begun, since what it needs has failed" for name in blocked]
    return "\n".join(["Failed; the same command tries again:", *lines])


def outcome_tables(plan: Plan, states: States) -> str:
    """For each group what tools.train prints of its runs; only finished ones are in it."""
    parts = []
    for group in plan.groups:
        runs = [f for trial in plan.trials if trial.group is group for f in trial.folders]
        ensembles = [e.folder for e in plan.ensembles if e.group is group]
        text = outcome(_summaries(runs, states), _summaries(ensembles, states))
        if text:
            unfinished = sum(states[f].state != State.FINISHED for f in (*runs, *ensembles))
            note = f"; {unfinished} of {len(runs) + len(ensembles)} missing" if unfinished else ""
            parts.append(f"{group.name}{note}\n\n{text}")
    return "\n\n\n".join(parts)


def _summaries(folders: Sequence[Path], states: States) -> list[dict]:
    finished = [folder for folder in folders if states[folder].state == State.FINISHED]
    return [read_json(folder / SUMMARY) for folder in finished]
