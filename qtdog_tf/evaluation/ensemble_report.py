"""Ensembles as text for a person: one row a member, one for their mean, one for the ensemble."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from qtdog_tf.ensemble import WEIGHTS
from qtdog_tf.evaluation.ensemble_figures import ENSEMBLE, mean_accuracy, why_no_target
from qtdog_tf.evaluation.images import ALL
from qtdog_tf.records import IN, OUT
from qtdog_tf.tables import format_table
from qtdog_tf.training.tables import percent

Summary = dict[str, Any]

ENSEMBLE_LEGEND = """\
Accuracies in %, means over target domains. all: every image of the target, where ensembles are
usually reported; in: its 80 % part, where single models are, the one of the first member for every
row; out: images that every member's split holds out. mean: of the members' accuracies; ensemble: of
the average of their logits or probabilities; average: of one model with the mean of the weights."""

_HEADER = ["target", "model", "variant", "trial", "bits", "size MB", ALL, IN, OUT]


def ensemble_table(summaries: Sequence[Summary]) -> str:
    """A table of ensembles, each below its members; and why one has no figures.

    Args:
        summaries: of ensembles, see `ensemble_summary`.
    """
    rows = [row for summary in summaries for row in _rows(summary)]
    notes = dict.fromkeys(filter(None, map(_note, summaries)))
    return "\n".join([format_table(_HEADER, rows), ENSEMBLE_LEGEND, *notes])


def _rows(summary: Summary) -> list[list[str]]:
    target = "+".join(summary["targets"]) or "none"
    figures, members = summary["figures"], summary["members"]
    by_member = [_accuracies(figures[f"m{number}"]) for number in range(len(members))]
    rows = []
    for number, (member, accuracies) in enumerate(zip(members, by_member, strict=True)):
        name = f"m{number}"
        trial = str(member["trial_seed"])
        cells = [name, member["variant"]["name"], trial, str(member["variant"]["bits"])]
        rows.append([target, *cells, _megabytes(figures[name]), *map(percent, accuracies)])
    means = [
        None if None in column else float(np.mean(column))
        for column in zip(*by_member, strict=True)
    ]
    rows.append([target, "mean", "", "", "", "", *map(percent, means)])
    variant = summary["variant"]
    what = "average" if summary["average"] == WEIGHTS else "ensemble"
    cells = [f"{what}, {summary['average']}", variant["name"], "", str(variant["bits"])]
    of_ensemble = figures[ENSEMBLE]
    accuracies = _accuracies(of_ensemble)
    rows.append([target, *cells, _megabytes(of_ensemble), *map(percent, accuracies)])
    return rows


def _accuracies(figures: Summary) -> list[float | None]:
    return [mean_accuracy(figures, part) for part in (ALL, IN, OUT)]


def _megabytes(figures: Summary) -> str:
    return f"{figures['bytes'] / 1e6:.2f}"


def _note(summary: Summary) -> str | None:
    if any(figures["domains"] for figures in summary["figures"].values()):
        return None
    why = why_no_target(summary) or "evaluation was not asked for"
    return f"note: not evaluated: {why}; see python -m tools.evaluate"
