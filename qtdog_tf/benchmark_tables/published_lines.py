"""What papers print, as lines beside one's own (method, sections 8.1 and 8.2).

Start from `published_lines` for one data set, `published_averages` for several.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from qtdog_tf.benchmark_tables.data_sets import DataSet, same_name
from qtdog_tf.benchmark_tables.table import Cell, Line
from qtdog_tf.published import TARGET, Figure, printed_average, published

# Which published rows to show: of methods that have a row here, every one, none.
SAME, ALL, NONE = "same", "all", "none"
_SECTIONS = ("8.1", "8.2")
_SIZE_OR_BITS = re.compile(r"\(\d+\)| 7 bits")
# What papers call these. They do not say whether the members of EoQ are averaged themselves.
_OTHER_NAMES = {"ERM ensemble": "ERM Ens", "EoQ + SMA": "EoQ"}


def published_lines(
    data: DataSet, targets: Sequence[str], methods: Iterable[str], shown: str, rule: str
) -> tuple[list[Line], list[str]]:
    """Lines of one data set, and notes on them.

    Args:
        data: the data set.
        targets: the columns, before the average.
        methods: those that have a row of their own.
        shown: `SAME`: published rows of these methods; `ALL`: of every one; `NONE`.
        rule: the selection rule; figures that name another one are left out.
    """
    lines, rows = [], []
    for row in _rows(methods, shown, rule):
        of_data = [figure for figure in row if figure.data == data.name]
        cells = [_cell(_of_domain(of_data, target)) for target in targets]
        cells.append(_average_cell(of_data, cells, len(targets) == len(data.domains)))
        if data.published and any(cell.mean is not None for cell in cells):
            lines.append(Line(_name(row[0]), tuple(cells), row[0].source, published=True))
            rows.append(row)
    return lines, _notes(rows)


def published_averages(
    data_sets: Sequence[str], methods: Iterable[str], shown: str, rule: str
) -> tuple[list[Line], list[str]]:
    """Lines of a table with one column a data set, and notes on them.

    Args:
        data_sets: names of the columns, before the average.
        methods: see `published_lines`, as for what follows.
        shown: published rows.
        rule: the selection rule.
    """
    lines, rows = [], []
    for row in _rows(methods, shown, rule):
        means = {figure.data: figure for figure in row if not figure.domain}
        cells = [_cell(means.get(name)) for name in data_sets]
        printed = printed_average(row)
        others = {figure.data for figure in row if figure is not printed}
        if printed is not None and others == set(data_sets):
            cells.append(_cell(printed))
        else:
            cells.append(_mean(cells))
        if any(cell.mean is not None for cell in cells):
            lines.append(Line(_name(row[0]), tuple(cells), row[0].source, published=True))
            rows.append(row)
    return lines, _notes(rows)


def _rows(methods: Iterable[str], shown: str, rule: str) -> list[list[Figure]]:
    """The rows of the tables in print, as they follow one another."""
    same = _names_in_print(methods)
    rows: dict[tuple, list[Figure]] = {}
    for figure in published(part=TARGET):
        wanted = shown == ALL or (shown == SAME and figure.method in same)
        same_rule = figure.setting.get("selection", rule) == rule
        if figure.section in _SECTIONS and wanted and same_rule:
            rows.setdefault((figure.table, figure.method), []).append(figure)
    return list(rows.values())


def _names_in_print(methods: Iterable[str]) -> set[str]:
    plain = {_SIZE_OR_BITS.sub("", name) for name in methods}
    return plain | {_OTHER_NAMES[name] for name in plain & _OTHER_NAMES.keys()}


def _of_domain(row: Sequence[Figure], domain: str) -> Figure | None:
    return next((f for f in row if f.domain and same_name(f.domain, domain)), None)


def _average_cell(row: Sequence[Figure], cells: Sequence[Cell], every_domain: bool) -> Cell:
    """As printed if it is over the same targets, else the mean of the cells."""
    printed = next((figure for figure in row if not figure.domain), None)
    return _cell(printed) if every_domain and printed else _mean(cells)


def _mean(cells: Sequence[Cell]) -> Cell:
    means = [cell.mean for cell in cells if cell.mean is not None]
    complete = len(means) == len(cells) and means
    return Cell(float(np.mean(means))) if complete else Cell()


def _cell(figure: Figure | None) -> Cell:
    return Cell() if figure is None else Cell(figure.value, figure.error)


def _name(figure: Figure) -> str:
    models = f"({figure.models})" if figure.models not in (None, 1) else ""
    bits = f" {figure.bits} bits" if figure.bits != 32 else ""
    return f"{figure.method}{models}{bits}"


def _notes(rows: Sequence[Sequence[Figure]]) -> list[str]:
    notes = [f"{_name(row[0])}, {row[0].source}: {row[0].note}" for row in rows if row[0].note]
    backbones: Mapping[str, None] = dict.fromkeys(row[0].backbone for row in rows)
    if backbones:
        notes.insert(0, f"Published figures are of {', '.join(backbones)}")
    return notes
