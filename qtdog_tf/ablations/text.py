"""An ablation as text for a person: here, in the paper, and which orderings agree."""

import textwrap
from collections.abc import Sequence

import numpy as np

from qtdog_tf.ablations.differences import Measured, counts, difference, verdicts
from qtdog_tf.ablations.types import AblationTable
from qtdog_tf.ablations.values import RowValues
from qtdog_tf.data.catalog import CATALOG
from qtdog_tf.evaluation.accuracy_rows import Row, all_targets, mean_and_error
from qtdog_tf.published import SOURCE, Figure
from qtdog_tf.tables import format_table

LEGEND = (
    "Accuracies in %; +-: standard error over trials of the mean over targets. here: {what}. "
    'minus: mean difference to the row "{reference}" over runs of equal target and trial, +- its '
    "standard error over these pairs; better / worse: pairs. validation: on source domains, which "
    "the step was selected by. minutes: of training, with evaluations and the float phase. "
    "{ensembles}"
    "paper: other data, other network ({networks}); only orderings can "
    "be compared."
)
_ENSEMBLES = (
    "(5): an ensemble, one a target; compared with the mean over trials of the other row, and its "
    "pairs are targets; minutes of all its members. "
)
_WIDTH = 100

_TARGET_IN = "the held-out domain, its 80 % part"
_SOURCE_TEST = "the test part of the domains trained on"


def ablation_text(table: AblationTable, rows: Sequence[RowValues]) -> str:
    """The table, and below it what is true here of the paper's orderings.

    Args:
        table: the table.
        rows: of it, those that there are.
    """
    sections = "sections" if " " in table.section else "section"
    parts = [f"{table.title} (method, {sections} {table.section})", _main_table(table, rows)]
    parts += [_orderings(table, rows, data) for data in _data_sets(table)]
    return "\n\n".join(part for part in parts if part)


def _main_table(table: AblationTable, rows: Sequence[RowValues]) -> str:
    values = _by_label(rows)
    measured = [Row(r.row.label, r.values) for r in rows]
    checked = [Row(r.row.label, r.validation) for r in rows]
    times = [list(r.minutes.values()) for r in rows]
    sources = {} if table.in_domain or table.data else _printed_of(table, SOURCE)
    printed = _printed_of(table, table.part)
    header = [
        "",
        "runs",
        "here",
        f"minus {table.reference}",
        "better / worse",
        "validation",
        "minutes",
    ]
    header += [f"paper, {_title(data)}" for data in printed]
    header += [f"paper, {_title(data)}, source" for data in sources]
    lines = []
    for own, validation, minutes in zip(measured, checked, times, strict=True):
        is_reference = own.name == table.reference
        found = None
        if table.reference in values and not is_reference:
            found = difference(values[own.name], values[table.reference])
        cells = [own.name, str(len(own.values)), _mean(own, measured)]
        cells += ["", ""] if is_reference else ["-", "-"]
        if found:
            cells[-2:] = [found.text, f"{found.better} / {found.worse}"]
        cells += [_mean(validation, checked), _minutes(minutes)]
        for figures in (*printed.values(), *sources.values()):
            cells.append(_figure(figures.get(own.name)))
        lines.append(cells)
    networks = sorted({f.backbone for of in printed.values() for f in of.values()})
    legend = LEGEND.format(
        what=_SOURCE_TEST if table.in_domain else _TARGET_IN,
        reference=table.reference,
        networks=", ".join(networks),
        ensembles=_ENSEMBLES if any(r.row.pooled for r in rows) else "",
    )
    return f"{format_table(header, lines)}\n{textwrap.fill(legend, _WIDTH)}"


def _orderings(table: AblationTable, rows: Sequence[RowValues], data: str) -> str:
    """Which of the paper's orderings on one data set hold here; empty if none can be told."""
    figures = _printed_of(table, table.part)[data]
    printed = {label: (figure.value, figure.error) for label, figure in figures.items()}
    measured = _by_label(rows)
    results = verdicts(printed, measured)
    if table.against:
        results = [each for each in results if set(each[:2]) & set(table.against)]
    if not results:
        return ""
    lines = [
        [f"{better} > {worse}", f"{points:+.1f}", own.text, f"{own.better} / {own.worse}", word]
        for better, worse, points, own, word in results
    ]
    header = [f"ordering of the paper, {_title(data)}", "paper", "here", "better / worse", ""]
    of_figures = {label: f.note for label, f in figures.items() if f.note and label in measured}
    notes = [f"note: {label}: {note}" for label, note in of_figures.items()]
    return "\n".join([format_table(header, lines), f"{counts(results)}.", *notes])


def _by_label(rows: Sequence[RowValues]) -> dict[str, Measured]:
    return {r.row.label: Measured(r.values, r.row.pooled) for r in rows}


def _printed_of(table: AblationTable, part: str) -> dict[str, dict[str, Figure]]:
    """The paper's figures by data set and label."""
    found: dict[str, dict[str, Figure]] = {}
    for row in table.rows:
        for data, figure in (row.paper.figures(part) if row.paper else {}).items():
            if table.data and data not in table.data:
                continue
            found.setdefault(data, {})[row.label] = figure
    return found


def _data_sets(table: AblationTable) -> list[str]:
    return list(_printed_of(table, table.part))


def _title(data: str) -> str:
    return CATALOG[data].title if data in CATALOG else data


def _mean(row: Row, rows: Sequence[Row]) -> str:
    found = mean_and_error(row, all_targets(rows))
    if found is None:
        return "incomplete" if row.values else "-"
    mean, error = found
    return f"{100 * mean:.1f}" + ("" if error is None else f" +- {100 * error:.1f}")


def _minutes(times: Sequence[float]) -> str:
    return f"{np.mean(times):.1f}" if times else "-"


def _figure(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    return f"{figure.value:.1f}" + ("" if figure.error is None else f" +- {figure.error:.1f}")
