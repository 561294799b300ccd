"""The table of several data sets: methods in rows, data sets in columns, and their average.

Start from `summary_table`.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from qtdog_tf.benchmark_tables.data_set_table import CAPTION, average_cell
from qtdog_tf.benchmark_tables.published_lines import published_averages
from qtdog_tf.benchmark_tables.rows import BenchmarkRow, DataSetRows
from qtdog_tf.benchmark_tables.selection import SELECTIONS
from qtdog_tf.benchmark_tables.table import AVERAGE, Cell, Line, Table, mark_best
from qtdog_tf.evaluation.accuracy_rows import INCOMPLETE, mean_of
from qtdog_tf.evaluation.method_names import rank
from qtdog_tf.report.sentences import counted

TITLE = "All data sets"


def summary_table(parts: Sequence[DataSetRows], shown: str) -> Table:
    """The averages of several data sets side by side.

    Args:
        parts: the rows of each, chosen by one rule.
        shown: published rows to show: "same", "all" or "none".
    """
    found: dict[str, list[BenchmarkRow | None]] = {}
    for number, part in enumerate(parts):
        for row in part.rows:
            found.setdefault(row.name, [None] * len(parts))[number] = row
    names = sorted(found, key=rank)
    lines = mark_best([_line(name, parts, found[name]) for name in names])
    rule = parts[0].rule
    methods = [row.method for part in parts for row in part.rows]
    data_sets = [part.data.name for part in parts]
    printed, notes = published_averages(data_sets, methods, shown, rule)
    return Table(
        title=TITLE,
        selection=rule,
        caption=f"Averages over target domains: {CAPTION}. Selection: {SELECTIONS[rule]}.",
        columns=(*(part.data.title for part in parts), AVERAGE),
        lines=(*lines, *printed),
        notes=("* What is missing is named below the table of the data set", *notes)
        if any(line.incomplete for line in lines)
        else tuple(notes),
    )


def _line(name: str, parts: Sequence[DataSetRows], rows: Sequence[BenchmarkRow | None]) -> Line:
    cells = [
        Cell() if row is None else average_cell(row, part.targets)
        for part, row in zip(parts, rows, strict=True)
    ]
    there = [row for row in rows if row is not None]
    incomplete = len(there) < len(rows) or any(row.missing or row.missing_draws for row in there)
    runs = sum(row.runs for row in there)
    average = _average(parts, rows, cells)
    return Line(name, (*cells, average), counted(runs, "run"), incomplete)


def _average(
    parts: Sequence[DataSetRows], rows: Sequence[BenchmarkRow | None], cells: Sequence[Cell]
) -> Cell:
    """Mean over data sets, trial by trial if all have the same trials, for an error."""
    if any(cell.mean is None for cell in cells):
        return Cell(instead=INCOMPLETE)
    by_trial = [
        _averages_by_trial(row, part.targets)
        for part, row in zip(parts, rows, strict=True)
        if row is not None
    ]
    choices = tuple(choice for cell in cells for choice in cell.choices)
    if len({tuple(averages) for averages in by_trial}) > 1:
        return Cell(float(np.mean([cell.mean for cell in cells])), None, choices)
    table = np.array([list(averages.values()) for averages in by_trial])
    found = mean_of([100 * float(value) for value in table.mean(axis=0)])
    return Cell(*found, choices) if found else Cell(instead=INCOMPLETE)


def _averages_by_trial(row: BenchmarkRow, targets: Sequence[str]) -> Mapping[int, float]:
    trials = sorted({trial for _, trial in row.values})
    return dict(zip(trials, row.averages(targets), strict=True))
