"""What stands behind the headline: other selection rules and parts of the target, every run."""

from collections.abc import Sequence

import numpy as np

from qtdog_tf.evaluation.accuracy_rows import INCOMPLETE, Row, all_targets, mean_and_error
from qtdog_tf.evaluation.method_names import rank, rule_name
from qtdog_tf.report.accuracies import TARGET_IN, accuracy_rows
from qtdog_tf.report.blocks import table
from qtdog_tf.report.html import Html, join
from qtdog_tf.report.material import Material
from qtdog_tf.report.numbers import PM, percent, short
from qtdog_tf.report.records import RunRecord
from qtdog_tf.training.tables import SELECTED_SMA

_PARTS = {
    TARGET_IN: 'its "in" part (80 %)',
    "target_out": 'its "out" part (20 %)',
    "target_all": "all its images",
}


def other_rules(material: Material) -> Html:
    """For each part of the target, the average by rule and method."""
    keys = {key for run in material.runs.runs for key in run.summary["rows"]}
    order = sorted(keys, key=lambda key: (key.endswith("oracle"), key != SELECTED_SMA, key))
    blocks = []
    for part, meaning in _PARTS.items():
        by_rule = {
            key: {row.name: row for row in accuracy_rows(material, key, part)} for key in order
        }
        methods = sorted({name for rows in by_rule.values() for name in rows}, key=rank)
        lines = []
        for key, rows in by_rule.items():
            targets = all_targets(list(rows.values()))
            if rows:
                lines.append([rule_name(key), *(_average(rows.get(m), targets) for m in methods)])
        if lines:
            caption = f"Accuracy in % on the target, {meaning}, averaged over targets"
            blocks.append(table(["selection rule", *methods], lines, caption))
    return join(blocks)


def _average(row: Row | None, targets: Sequence[str]) -> str:
    if row is None:
        return "-"
    found = mean_and_error(row, targets)
    if found is None:
        return INCOMPLETE
    mean, error = found
    return percent(mean) + (f" {PM} {percent(error)}" if error is not None else "")


def every_run(runs: Sequence[RunRecord]) -> Html:
    """A row for each run, by the headline rule."""
    lines = []
    for run in sorted(runs, key=lambda run: (run.target, run.trial, rank(run.method))):
        chosen = run.summary["rows"].get(SELECTED_SMA, {})
        size = run.summary.get("bytes")
        lines.append(
            [
                run.target or "none",
                run.method,
                str(run.trial),
                str(chosen.get("step", "-")),
                percent(number_or_none(chosen.get("source_accuracy"))),
                percent(number_or_none(chosen.get(TARGET_IN))),
                percent(number_or_none(chosen.get("target_out"))),
                "-" if size is None else short(size / 1e6),
            ]
        )
    header = ["target", "method", "trial", "step", "source val.", "in", "out", "MB"]
    caption = "Every finished run by the headline rule: accuracies in %, size of its weights in MB"
    return table(header, lines, caption, left=2)


def number_or_none(value: object) -> float | None:
    """A value of a summary if it is a number; summaries may be edited by people."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(np.clip(value, -1e9, 1e9)) if is_number else None  # type: ignore[call-overload]
