"""What a row rests on, and what it lacks that others have."""

from collections.abc import Mapping, Sequence

from qtdog_tf.benchmark_tables.runs import BenchmarkRun
from qtdog_tf.benchmark_tables.selection import Choice
from qtdog_tf.evaluation.accuracy_rows import Row
from qtdog_tf.statistics import Pair


def count_runs(runs: Sequence[BenchmarkRun], choices: Mapping[Pair, Choice]) -> int:
    """How many runs were compared: all draws, and what cross-validation looks at besides.

    Args:
        runs: of the row.
        choices: of the row.
    """
    used = set()
    for (target, trial), choice in choices.items():
        for run in runs:
            alone = run.target == target
            beside = bool(choice.rests_on) and len(run.targets) == 2 and target in run.targets
            if run.trial == trial and run.draw in choice.draws and (alone or beside):
                used.add(run.path)
    return len(used)


def missing_draws(
    runs: Sequence[BenchmarkRun], choices: Mapping[Pair, Choice]
) -> dict[Pair, tuple[int, ...]]:
    """By target and trial, the draws of hyperparameters that others of the row have.

    Args:
        runs: of the row.
        choices: of the row.
    """
    every = {run.draw for run in runs}
    lacking = {pair: sorted(every.difference(choice.draws)) for pair, choice in choices.items()}
    return {pair: tuple(draws) for pair, draws in lacking.items() if draws}


def missing_pairs(
    row: Row, rows: Sequence[Row], targets: Sequence[str], trials: Sequence[int]
) -> tuple[Pair, ...]:
    """Targets and trials without a figure.

    Args:
        row: one row.
        rows: all of the table.
        targets: the columns.
        trials: that a complete row has; if there are none, those of any row of its kind.
    """
    alike = [other for other in rows if other.ensemble == row.ensemble]
    expected = set(trials) or {trial for other in alike for _, trial in other.values}
    pairs = [(target, trial) for target in targets for trial in sorted(expected)]
    return tuple(pair for pair in pairs if pair not in row.values)
