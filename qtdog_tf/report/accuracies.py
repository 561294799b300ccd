"""Accuracies of methods over targets and trials, as the tables of tools.compare take them.

Start from `accuracy_rows`.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from qtdog_tf.evaluation.method_names import average_name, rank
from qtdog_tf.report.material import OWN_RULE, Material
from qtdog_tf.report.numbers import Pair
from qtdog_tf.report.records import RunRecord
from qtdog_tf.training.selection import LAST
from qtdog_tf.training.tables import SELECTED_SMA, standard_error

TARGET_IN = "target_in"
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


def accuracy_rows(material: Material, row: str = SELECTED_SMA, key: str = TARGET_IN) -> list[Row]:
    """A row for each method, in their order; runs that lack the value are left out.

    Args:
        material: of the report.
        row: of the summaries: the weights, and the rule that selects the step.
        key: "target_in", "target_out" or "target_all".
    """
    return _rows(material.runs.runs, row, key)


def own_rule_rows(material: Material, key: str = TARGET_IN) -> list[Row]:
    """A row for each average of the weights that has a rule of its own: SWA and SWAD, last step."""
    rows = []
    for weights in OWN_RULE:
        for row in _rows(material.runs.runs, f"{weights}/{LAST}", key):
            name = average_name(row.name, weights)
            rows.append(dataclasses.replace(row, name=name))
    return sorted(rows, key=lambda row: rank(row.name))


def all_targets(rows: Sequence[Row]) -> list[str]:
    """Every target of any row, sorted."""
    return sorted({target for row in rows for target in row.targets})


def is_complete(row: Row, rows: Sequence[Row]) -> bool:
    """Whether a row has every target and trial that a row of its kind has."""
    alike = [other for other in rows if other.ensemble == row.ensemble]
    return set(row.values) == {pair for other in alike for pair in other.values}


def mean_and_error(row: Row, targets: Sequence[str]) -> tuple[float, float | None] | None:
    """Mean over targets and trials with its standard error over trials; None if incomplete."""
    averages = row.averages(targets)
    if not averages:
        return None
    return float(np.mean(averages)), standard_error(averages) if len(averages) > 1 else None


def _rows(runs: Sequence[RunRecord], row: str, key: str) -> list[Row]:
    values: dict[str, dict[Pair, float]] = {}
    ensembles = {run.method for run in runs if run.is_ensemble}
    for run in runs:
        value = run.summary["rows"].get(row, {}).get(key)
        if value is not None and run.target:
            values.setdefault(run.method, {})[run.target, run.trial] = value
    return [Row(n, values[n], n in ensembles) for n in sorted(values, key=rank)]
