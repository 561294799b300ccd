"""What is left of a plan, in hours: arithmetic on speeds that a probe has measured."""

import heapq
from collections.abc import Mapping, Sequence
from pathlib import Path

from qtdog_tf.runs import FLOAT_PHASE
from qtdog_tf.sweep.plan import TrialRuns
from qtdog_tf.sweep.probe import Speed
from qtdog_tf.sweep.state import RunState, State
from qtdog_tf.sweep.steps import phase_step, step_reached


def seconds_left(trial: TrialRuns, states: Mapping[Path, RunState], speed: Speed) -> float:
    """How long what is left of a trial takes.

    Args:
        trial: of a plan.
        states: of its runs.
        speed: of its group.
    """
    settings = trial.group.settings
    missing = [folder for folder in trial.folders if states[folder].state != State.FINISHED]
    if not missing:
        return 0.0
    first = settings.quantize_step
    starts = [(min(phase_step(trial.folder / FLOAT_PHASE), first), first)]
    starts += [
        (max(step_reached(folder, states[folder]), first), settings.steps) for folder in missing
    ]
    every, last = evaluated_images(trial)
    kinds = 1 + len(settings.averages)
    seconds = 0.0
    for start, stop in starts:
        if start == stop:
            continue
        images = evaluations(start, stop, settings.eval_every) * every
        if stop == settings.steps:
            # The last step is always evaluated, on more images.
            images += last + (0 if (stop - 1) % settings.eval_every == 0 else every)
        seconds += speed.startup + (stop - start) * speed.step + kinds * images * speed.image
    return seconds


def evaluations(start: int, stop: int, every: int) -> int:
    """How many of the steps `start` to `stop` - 1 are multiples of `every`."""
    return max(0, -(-stop // every) - -(-start // every))


def evaluated_images(trial: TrialRuns) -> tuple[int, int]:
    """Images of each evaluation, and those that the last one looks at besides."""
    data, holdout = trial.group.data, trial.group.settings.holdout
    sources = [len(data.domain(name)) for name in trial.roles.sources]
    targets = [len(data.domain(name)) for name in trial.roles.targets]
    validation = [int(count * holdout) for count in sources]
    return sum(validation) + sum(targets), sum(sources) - sum(validation)


def makespan(seconds: Sequence[float], workers: int) -> float:
    """How long tasks take that are begun in order, each by the first worker that is free."""
    free = [0.0] * workers
    for one in seconds:
        heapq.heapreplace(free, free[0] + one)
    return max(free)
