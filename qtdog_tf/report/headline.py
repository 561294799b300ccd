"""The accuracies: by method and target, differences to the baseline, other rules, every run."""

import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np

from qtdog_tf.evaluation.accuracy_rows import INCOMPLETE, Row, all_targets, is_complete
from qtdog_tf.evaluation.method_names import rank
from qtdog_tf.pictures.forest import svg_forest
from qtdog_tf.report.accuracies import accuracy_rows, own_rule_rows
from qtdog_tf.report.blocks import (
    Missing,
    Section,
    command,
    details,
    figure,
    heading,
    paragraph,
    table,
)
from qtdog_tf.report.headline_details import every_run, number_or_none, other_rules
from qtdog_tf.report.html import Html, element, join
from qtdog_tf.report.material import Material
from qtdog_tf.report.numbers import PM, percent, percent_and_error
from qtdog_tf.statistics import paired_differences, paired_error
from qtdog_tf.training.tables import SELECTED_SMA

_NOTHING = Missing(
    "The table of accuracies",
    "python -m tools.train --data=<folder> --target_domains=all --trial_seeds=0,1,2 "
    "--variants=erm,qtdog7 --output=runs/estimate",
    "It needs runs that held out a domain.",
)


def headline_section(material: Material) -> Section:
    """Accuracies on domains that training never saw."""
    name, title = "headline", "Accuracy on unseen domains"
    if not material.runs.runs:
        return Section(name, title, missing=(_NOTHING,))
    rows, others = accuracy_rows(material), own_rule_rows(material)
    if not rows:
        return Section(
            name, "Accuracy on source validation", _without_target(material), (_NOTHING,)
        )
    body = [
        paragraph(
            "Accuracy in % on the ",
            element("b", '"in" part of the target'),
            ", 80 % of a domain that training never saw. The selection rule, fixed beforehand: ",
            element(
                "b",
                "the moving average of the weights, at the step that source validation selects",
            ),
            f". Mean {PM} standard error over trials (population deviation over the root of their "
            "count, as DomainBed reports it).",
        ),
        _table(rows, others),
        _commands(material),
        _differences(material, [*rows, *others]),
        details("Other selection rules and parts of the target", other_rules(material)),
        details(f"Every run ({len(material.runs.runs)})", every_run(material.runs.runs)),
    ]
    return Section(name, title, join(body))


def _table(rows: Sequence[Row], others: Sequence[Row]) -> Html:
    targets = all_targets(rows)
    lines = [_line(row, rows, targets) for row in rows]
    groups = []
    if others:
        title = "Other averages of the same runs, by their own rule: at the last step"
        groups.append((title, [_line(row, others, targets) for row in others]))
    return table(
        ["method", *targets, "average", "runs"],
        lines,
        f"Target accuracy in %, mean {PM} standard error over trials",
        groups=groups,
    )


def _line(row: Row, rows: Sequence[Row], targets: Sequence[str]) -> list[object]:
    averages = row.averages(targets)
    runs: object = str(len(row.values))
    if not is_complete(row, rows):
        of = len(
            {pair for other in rows if other.ensemble == row.ensemble for pair in other.values}
        )
        runs = f"{len(row.values)} of {of}"
    return [
        row.name + " (ensemble)" * row.ensemble,
        *(percent_and_error(row.of_target(target)) for target in targets),
        element("b", percent_and_error(averages) if averages else INCOMPLETE),
        runs,
    ]


def _differences(material: Material, rows: Sequence[Row]) -> Html:
    reference = next((row for row in rows if row.name == material.baseline), None)
    others = [row for row in rows if row.name != material.baseline and not row.ensemble]
    if reference is None or not others:
        return Html("")
    found = {row.name: paired_differences(row.values, reference.values) for row in others}
    found = {name: differences for name, differences in found.items() if len(differences)}
    if not found:
        return Html("")
    forest = svg_forest(
        [_difference_point(name, differences) for name, differences in found.items()],
        f"Difference to {material.baseline}",
        "percentage points of target accuracy",
        zero=True,
        styles=material.styles,
    )
    return (
        heading(f"Differences to {material.baseline}")
        + paragraph(
            "Runs of one target and trial share split, batches and float phase: their difference "
            "has far less noise than their means. Percentage points; the error is the sample's "
            "standard error over pairs."
        )
        + table(
            [f"minus {material.baseline}", "mean", "std. error", "better / worse", "pairs"],
            [_difference_line(name, differences) for name, differences in found.items()],
            "Paired differences of target accuracy, percentage points",
        )
        + figure(forest, "The same as a picture: to the right of the line is better.")
    )


def _difference_line(name: str, differences: np.ndarray) -> list[str]:
    better, worse = (differences > 0).sum(), (differences < 0).sum()
    return [
        name,
        percent(float(differences.mean()), signed=True),
        percent(paired_error(differences)),
        f"{better} / {worse}",
        str(len(differences)),
    ]


def _difference_point(name: str, differences: np.ndarray) -> dict[str, Any]:
    error = paired_error(differences)
    return {
        "name": name,
        "value": 100 * float(differences.mean()),
        "error": None if error is None else 100 * error,
    }


def _without_target(material: Material) -> Html:
    """Runs that were trained on every domain: there is nothing but source validation."""
    values: dict[str, list[float]] = {}
    for run in material.runs.runs:
        value = number_or_none(run.summary["rows"].get(SELECTED_SMA, {}).get("source_accuracy"))
        if value is not None:
            values.setdefault(run.method, []).append(value)
    lines = [
        [n, percent_and_error(values[n]), str(len(values[n]))] for n in sorted(values, key=rank)
    ]
    note = paragraph(
        "No run held out a domain, so nothing here says how good a model is on a domain that it "
        "has never seen."
    )
    caption = f"Accuracy on source validation in %, mean {PM} standard error over runs"
    return note + table(["method", "accuracy", "runs"], lines, caption)


def _commands(material: Material) -> Html:
    return command(
        f"python -m tools.compare --runs={shlex.quote(str(output.path))}"
        for output in material.runs.outputs
    )
