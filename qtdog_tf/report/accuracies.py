"""Accuracies of methods over targets and trials, as the tables of tools.compare take them.

Start from `accuracy_rows`.
"""

import dataclasses
from collections.abc import Sequence

from qtdog_tf.evaluation.accuracy_rows import Row
from qtdog_tf.evaluation.method_names import average_name, rank
from qtdog_tf.report.material import OWN_RULE, Material
from qtdog_tf.report.records import RunRecord
from qtdog_tf.statistics import Pair
from qtdog_tf.training.selection import LAST
from qtdog_tf.training.tables import SELECTED_SMA

TARGET_IN = "target_in"


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


def _rows(runs: Sequence[RunRecord], row: str, key: str) -> list[Row]:
    values: dict[str, dict[Pair, float]] = {}
    ensembles = {run.method for run in runs if run.is_ensemble}
    for run in runs:
        value = run.summary["rows"].get(row, {}).get(key)
        if value is not None and run.target:
            values.setdefault(run.method, {})[run.target, run.trial] = value
    return [Row(n, values[n], n in ensembles) for n in sorted(values, key=rank)]
