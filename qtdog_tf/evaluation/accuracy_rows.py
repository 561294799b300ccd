"""Rows of tables: accuracies of a method over targets and trials, their means and errors."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from qtdog_tf.statistics import Pair, standard_error

# Instead of an average for which runs are missing.
INCOMPLETE = "incomplete"


@dataclasses.dataclass(frozen=True)
class Row:
    """The accuracies of one method.

    Attributes:
        name: of the method.
        values: 0 to 1, by target and trial.
        ensemble: whether its runs are averages of several, with trials of their own.
    """

    name: str
    values: Mapping[Pair, float]
    ensemble: bool = False

    @property
    def targets(self) -> list[str]:
        """The targets, sorted."""
        return sorted({target for target, _ in self.values})

    def of_target(self, target: str) -> list[float]:
        """The accuracies on one target, one a trial."""
        return [value for (name, _), value in sorted(self.values.items()) if name == target]

    def averages(self, targets: Sequence[str]) -> list[float]:
        """Means over targets, one a trial; none unless every trial has every target.

        Args:
            targets: that count.
        """
        trials = sorted({trial for _, trial in self.values})
        pairs = [[(target, trial) for target in targets] for trial in trials]
        if not all(pair in self.values for of_trial in pairs for pair in of_trial):
            return []
        return [float(np.mean([self.values[pair] for pair in of_trial])) for of_trial in pairs]


def all_targets(rows: Sequence[Row]) -> list[str]:
    """Every target of any row, sorted."""
    return sorted({target for row in rows for target in row.targets})


def is_complete(row: Row, rows: Sequence[Row]) -> bool:
    """Whether a row has every target and trial that a row of its kind has."""
    alike = [other for other in rows if other.ensemble == row.ensemble]
    return set(row.values) == {pair for other in alike for pair in other.values}


def mean_and_error(row: Row, targets: Sequence[str]) -> tuple[float, float | None] | None:
    """Mean over targets and trials with its standard error over trials; None if incomplete."""
    return mean_of(row.averages(targets))


def mean_of(values: Sequence[float]) -> tuple[float, float | None] | None:
    """Mean of one value a trial, and its standard error from two trials on; None of none."""
    if not values:
        return None
    return float(np.mean(values)), standard_error(values) if len(values) > 1 else None
