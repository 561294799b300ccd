"""The report in a few sentences, every number of which is computed from what was read.

Nothing is said that the data does not hold: without a second trial nothing is ranked, and where a
difference is within two standard errors, the sentence says so.
"""

from collections.abc import Callable

import numpy as np

from qtdog_tf.evaluation.accuracy_rows import all_targets, is_complete, mean_and_error
from qtdog_tf.evaluation.method_names import rank
from qtdog_tf.report.accuracies import accuracy_rows, own_rule_rows
from qtdog_tf.report.blocks import Section, bullets, paragraph
from qtdog_tf.report.html import Html, element
from qtdog_tf.report.material import Material
from qtdog_tf.report.numbers import PM, percent, percent_and_error
from qtdog_tf.report.sentences import Said, counted, nothing, tile
from qtdog_tf.report.summary_analyses import (
    calibration_said,
    correlation_said,
    files_said,
    flattest_said,
    noise_said,
)
from qtdog_tf.statistics import paired_differences, paired_error

# A difference of fewer standard errors may well be chance.
_CLEAR = 2.0


def minute_section(material: Material) -> Section:
    """What there is to say in one minute."""
    says: list[Callable[[Material], Said]] = [
        *(_scope, _best, _differences),
        *(flattest_said, correlation_said, noise_said, calibration_said, files_said),
    ]
    items: list[Html] = []
    tiles: list[Html] = []
    for say in says:
        said, shown = say(material)
        items += [element("b", lead) + Html(" ") + element("span", rest) for lead, rest in said]
        tiles += shown
    note = (
        f"{PM} is one standard error. Sentences say what these runs showed, not what others would."
    )
    body = element("div", *tiles, class_="tiles") if tiles else Html("")
    whole = element("div", body, bullets(items), paragraph(note, muted=True), class_="summary")
    return Section("minute", "In one minute", whole)


def _scope(material: Material) -> Said:
    runs = material.runs.runs
    if not runs:
        models = {(entry.run, entry.model) for entry in material.analyses.entries}
        said = f"{counted(len(models), 'model')} were analysed; no run folders were given."
        return ([("What is here.", said)], []) if models else nothing()
    methods = sorted({run.method for run in runs}, key=rank)
    targets = sorted({run.target for run in runs if run.target})
    trials = {run.trial for run in material.single_runs}
    held_out = f"{counted(len(targets), 'target')} held out ({', '.join(targets)})"
    said = (
        f"{counted(len(runs), 'finished run')}: {counted(len(methods), 'method')} "
        f"({', '.join(methods)}), {held_out if targets else 'no domain held out'}, "
        f"{counted(len(trials), 'split')} of the data."
    )
    if material.runs.unfinished:
        said += f" {counted(len(material.runs.unfinished), 'run')} not finished, and left out."
    return [("What is here.", said)], []


def _best(material: Material) -> Said:
    rows = accuracy_rows(material)
    targets = all_targets(rows)
    means = {
        row.name: (row, found)
        for row in rows
        if is_complete(row, rows) and (found := mean_and_error(row, targets)) is not None
    }
    if not means:
        return nothing()
    lead = "Target accuracy, headline rule."
    left_out = [row.name for row in rows if row.name not in means]
    tail = f" Not ranked, since runs are missing: {', '.join(left_out)}." if left_out else ""
    best, *others = sorted(means, key=lambda name: -means[name][1][0])
    row, (mean, error) = means[best]
    if not others:
        return [(lead, f"{best}, {_value(mean, error)} %.{tail}")], []
    second, found = means[others[0]]
    said = f"{best} is highest, {_value(mean, error)} %, then {others[0]}, {_value(*found)} %."
    if found[0] == mean:
        said = f"{best} and {others[0]} are level, {_value(mean, error)} %."
    if len(row.averages(targets)) < 2:
        return [
            (lead, f"{said} With one split there is no error bar: this ranks nothing.{tail}")
        ], []
    if not (row.ensemble or second.ensemble):
        said += " Paired: " + verdict(paired_differences(row.values, second.values))
    shown = tile(f"{percent(mean)} %", percent(error), f"highest target accuracy: {best}")
    return [(lead, said + tail), *_other_averages(material, targets)], [shown]


def _other_averages(material: Material, targets: list[str]) -> list[tuple[str, str]]:
    others = {row.name: row.averages(targets) for row in own_rule_rows(material)}
    others = {name: averages for name, averages in others.items() if averages}
    if not others:
        return []
    top = max(others, key=lambda name: float(np.mean(others[name])))
    shown = percent_and_error(others[top])
    return [("Other averages of weights.", f"By their own rule {top} is highest: {shown} %.")]


def _differences(material: Material) -> Said:
    rows = [*accuracy_rows(material), *own_rule_rows(material)]
    reference = next((row for row in rows if row.name == material.baseline), None)
    if reference is None:
        return nothing()
    others = [row for row in rows if row is not reference and not row.ensemble]
    quantized = [r for r in others if r.name.startswith("QT-DoG") and " + " not in r.name]
    said: list[tuple[str, str]] = []
    tiles: list[Html] = []
    for row in quantized or others[:1]:
        differences = paired_differences(row.values, reference.values)
        if not len(differences):
            continue
        said.append((f"{row.name} minus {material.baseline}.", verdict(differences)))
        if not tiles:
            mean, error = float(differences.mean()), paired_error(differences)
            pairs = counted(len(differences), "pair")
            what = f"points of accuracy, {row.name} minus {material.baseline}, {pairs}"
            tiles.append(tile(percent(mean, signed=True), percent(error), what))
    return said, tiles


def verdict(differences: np.ndarray) -> str:
    """A paired difference in words, and whether it can be told from chance.

    Args:
        differences: float [pairs], one or more, parts of 1.
    """
    mean, error = float(differences.mean()), paired_error(differences)
    shown = percent(mean, signed=True)
    if error is None:
        return f"{shown} points, one pair of equal target and split: no error bar."
    better, worse = (differences > 0).sum(), (differences < 0).sum()
    clear = abs(mean) > _CLEAR * error
    tail = "more than two standard errors from 0" if clear else "within two standard errors of 0"
    return (
        f"{shown} {PM} {percent(error)} points over {counted(len(differences), 'pair')} of equal "
        f"target and split ({better} better, {worse} worse), {tail}."
    )


def _value(mean: float, error: float | None) -> str:
    return percent(mean) + (f" {PM} {percent(error)}" if error is not None else "")
