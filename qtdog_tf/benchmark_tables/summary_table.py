"""The table of several data sets: methods in rows, data sets in columns, and their average.

Start from `summary_table`.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from qtdog_tf.benchmark_tables.data_set_table import CAPTION, average_cell, backbone_notes
from qtdog_tf.benchmark_tables.published_lines import published_averages
from qtdog_tf.benchmark_tables.rows import BenchmarkRow, DataSetRows, told_apart
from qtdog_tf.benchmark_tables.selection import SELECTIONS
from qtdog_tf.benchmark_tables.table import AVERAGE, Cell, Line, Table, mark_best
from qtdog_tf.evaluation.accuracy_rows import INCOMPLETE, mean_of
from qtdog_tf.evaluation.method_names import rank
from qtdog_tf.report.sentences import counted

TITLE = "All data sets"
# A row of every data set, None where there is none.
_Joined = list[BenchmarkRow | None]


def summary_table(parts: Sequence[DataSetRows], shown: str) -> Table:
    """The averages of several data sets side by side.

    Args:
        parts: the rows of each, chosen by one rule.
        shown: published rows to show: "same", "all" or "none".
    """
    lines = mark_best([_line(name, parts, rows) for name, rows in _named(_joined(parts))])
    rule = parts[0].rule
    methods = [row.method for part in parts for row in part.rows]
    data_sets = [part.data for part in parts]
    printed, notes = published_averages(data_sets, methods, shown, rule)
    return Table(
        title=TITLE,
        selection=rule,
        caption=f"Averages over target domains: {CAPTION}. Selection: {SELECTIONS[rule]}.",
        columns=(*(part.data.title for part in parts), AVERAGE),
        lines=(*lines, *printed),
        notes=(
            *["* What is missing is named below the table of the data set"]
            * any(line.incomplete for line in lines),
            *backbone_notes([row for part in parts for row in part.rows]),
            *notes,
        ),
    )


def _joined(parts: Sequence[DataSetRows]) -> list[_Joined]:
    """Rows of one method, part of the target and backbone; in one data set, of one folder too."""
    kinds: dict[tuple[str, str, str], list[tuple[int, BenchmarkRow]]] = {}
    for number, part in enumerate(parts):
        for row in part.rows:
            kinds.setdefault((row.method, row.part, row.backbone), []).append((number, row))
    return [
        [of_folder.get(number) for number in range(len(parts))]
        for numbered in kinds.values()
        for of_folder in _by_folder(numbered)
    ]


def _by_folder(numbered: Sequence[tuple[int, BenchmarkRow]]) -> list[dict[int, BenchmarkRow]]:
    """Rows by number of the data set: all together unless one data set has several of them.

    Folders are mostly called by their data sets, so they tell apart only what is there twice.
    """
    for place in (lambda row: "", lambda row: row.group.name, lambda row: str(row.group)):
        found: dict[str, dict[int, BenchmarkRow]] = {}
        for number, row in numbered:
            found.setdefault(place(row), {})[number] = row
        if sum(map(len, found.values())) == len(numbered):
            break
    return list(found.values())


def _named(joined: Sequence[_Joined]) -> list[tuple[str, _Joined]]:
    """With names that tell them apart, whatever they are called in the table of one data set."""
    first = [next(row for row in rows if row is not None) for rows in joined]
    plain = [dataclasses.replace(row, name=row.plain_name) for row in first]
    named = [(row.name, rows) for row, rows in zip(told_apart(plain), joined, strict=True)]
    return sorted(named, key=lambda pair: rank(pair[0]))


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
