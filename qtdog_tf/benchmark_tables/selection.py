"""Choosing among many runs: the step, and the hyperparameters if there are several draws of them.

The rules, as DomainBed has them (its `model_selection.py`; method, sections 1.4 and 6.2). Each
looks at the runs of one method, and chooses for every target and trial by itself:

    source_validation      highest accuracy on the source domains' validation parts, over draws and
                           steps ("training-domain validation")
    leave_one_domain_out   highest mean, over the other domains j, of the accuracy on j's "in" part
                           in the run that holds out {target, j}, over draws and steps; what is
                           reported is the run that holds out the target alone, at that step
    last                   the last step; among draws, the best source validation there
    oracle                 highest accuracy on the target's "out" part, over draws and steps
    oracle_last            the last step; among draws, the highest accuracy on the target's "out"
                           part there (DomainBed's oracle, which allows one look a run)

Both oracles look at the target, and are only ever reported under these names. Equal ones: the
first draw, and in it the first step. Leave-one-domain-out needs the results.jsonl of every run,
since it compares step by step; all others need the summary.json alone. Start from `choose`.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qtdog_tf.benchmark_tables.runs import LOG, BenchmarkRun
from qtdog_tf.records import IN, Evaluation
from qtdog_tf.statistics import Pair
from qtdog_tf.training.finish import SUMMARY
from qtdog_tf.training.selection import LAST, ORACLE, SOURCE_VALIDATION, candidates
from qtdog_tf.training.summary import summary_row

LEAVE_ONE_DOMAIN_OUT, ORACLE_LAST = "leave_one_domain_out", "oracle_last"
SELECTIONS = {
    SOURCE_VALIDATION: "training-domain validation",
    LEAVE_ONE_DOMAIN_OUT: "leave-one-domain-out cross-validation",
    LAST: "last step, hyperparameters by training-domain validation",
    ORACLE: "oracle, best checkpoint (looks at the target: no fair result)",
    ORACLE_LAST: "oracle, last checkpoint, DomainBed's (looks at the target: no fair result)",
}
# The row of a summary that has the step, and the value in it that draws are compared by.
_BY_SUMMARY = {
    SOURCE_VALIDATION: (SOURCE_VALIDATION, "source_accuracy"),
    LAST: (LAST, "source_accuracy"),
    ORACLE: (ORACLE, "target_out"),
    ORACLE_LAST: (LAST, "target_out"),
}


@dataclasses.dataclass(frozen=True)
class Choice:
    """What was chosen for one target and trial.

    Attributes:
        run: folder of the run that is reported.
        draw: of its hyperparameters.
        step: whose weights count; None of an ensemble, whose members have their own.
        accuracy: of it on the part of the target that is reported, 0 to 1.
        score: what it was chosen by, 0 to 1; None if there was nothing to choose.
        draws: that were compared.
        file: that the step and the accuracies are from.
        rests_on: folders of other runs that the choice was made by.
    """

    run: Path
    draw: int
    step: int | None
    accuracy: float
    score: float | None
    draws: tuple[int, ...]
    file: str
    rests_on: tuple[Path, ...] = ()


def choose(
    runs: Sequence[BenchmarkRun], rule: str, weights: str, part: str = IN
) -> dict[Pair, Choice]:
    """What a rule chooses for every target and trial for which it can choose.

    Args:
        runs: of one method, all draws of its hyperparameters.
        rule: one of `SELECTIONS`.
        weights: kind of weights: "raw", "sma", "swa" or "swad".
        part: of the target, that is reported: "in", "out" or "all".

    Returns:
        By target (joined by "+") and trial.
    """
    chosen = {}
    for target, trial in dict.fromkeys((run.target, run.trial) for run in runs):
        of_trial = sorted((run for run in runs if run.trial == trial), key=lambda run: run.draw)
        if rule == LEAVE_ONE_DOMAIN_OUT:
            found = [
                _cross_validated(of_trial, target, draw, weights, part) for draw in _draws(of_trial)
            ]
        else:
            alone = [run for run in of_trial if run.target == target]
            found = [_by_summary(run, rule, weights, part) for run in alone]
        choices = [choice for choice in found if choice is not None]
        best = _best(choices)
        if best is not None:
            compared = tuple(choice.draw for choice in choices)
            chosen[target, trial] = dataclasses.replace(best, draws=compared)
    return chosen


def _best(choices: Sequence[Choice]) -> Choice | None:
    if len(choices) > 1 and any(choice.score is None for choice in choices):
        return None  # ensembles, of which nothing was measured on the sources
    return max(choices, key=lambda choice: choice.score or 0.0, default=None)


def _draws(runs: Iterable[BenchmarkRun]) -> list[int]:
    return sorted({run.draw for run in runs})


def _by_summary(run: BenchmarkRun, rule: str, weights: str, part: str) -> Choice | None:
    name, key = _BY_SUMMARY[rule]
    row = run.rows.get(f"{weights}/{name}", {})
    if f"target_{part}" not in row or (key not in row and not run.members):
        return None
    return _choice(run, row, row.get(key), part, SUMMARY)


def _choice(
    run: BenchmarkRun,
    row: Any,
    score: float | None,
    part: str,
    file: str,
    rests_on: tuple[Path, ...] = (),
) -> Choice:
    accuracy = row[f"target_{part}"]
    step, draws = row.get("step"), (run.draw,)
    return Choice(run.path, run.draw, step, accuracy, score, draws, file, rests_on)


def _cross_validated(
    runs: Sequence[BenchmarkRun], target: str, draw: int, weights: str, part: str
) -> Choice | None:
    """The best step of one draw; None unless every run that this takes is there with its log."""
    of_draw = {run.targets: run for run in runs if run.draw == draw and not run.members}
    alone = of_draw.get((target,))
    if alone is None:
        return None
    others = [name for name in alone.data.domains if name != target]
    pairs = [of_draw.get(tuple(sorted((target, other)))) for other in others]
    held_out = [run for run in pairs if run is not None]
    if len(held_out) < len(others):
        return None
    by_step = _by_step(alone, weights)
    accuracies = [
        {step: e.target[other][IN].accuracy for step, e in _by_step(run, weights).items()}
        for run, other in zip(held_out, others, strict=True)
    ]
    steps = [step for step in by_step if all(step in of_run for of_run in accuracies)]
    if not steps:
        return None
    scores = {step: float(np.mean([of_run[step] for of_run in accuracies])) for step in steps}
    step = max(steps, key=scores.__getitem__)
    row = summary_row(by_step[step])
    return _choice(alone, row, scores[step], part, LOG, tuple(run.path for run in held_out))


def _by_step(run: BenchmarkRun, weights: str) -> dict[int, Evaluation]:
    return {e.step: e for e in candidates(run.evaluations, weights, run.from_step)}
