"""What papers print, as lines beside one's own (method, sections 8.1 and 8.2).

Start from `published_lines` for one data set, `published_averages` for several.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from qtdog_tf.benchmark_tables.data_sets import DataSet, same_name
from qtdog_tf.benchmark_tables.table import Cell, Line
from qtdog_tf.published import TARGET, Figure, printed_average, published
from qtdog_tf.training.selection import SOURCE_VALIDATION

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
        rule: the selection rule; figures of another one are left out. Those that name none are of
            source validation, as papers compare methods.
    """
    lines, rows = [], []
    found, unnamed = _rows(methods, shown, rule)
    for row in found:
        of_data = [figure for figure in row if figure.data == data.name]
        cells = [_cell(_of_domain(of_data, target)) for target in targets]
        cells.append(_average_cell(of_data, cells, len(targets) == len(data.domains)))
        if data.published and any(cell.mean is not None for cell in cells):
            lines.append(Line(_name(row[0]), tuple(cells), row[0].source, published=True))
            rows.append(row)
    return lines, _notes(rows, data.published and data.name in unnamed)


def published_averages(
    data_sets: Sequence[DataSet], methods: Iterable[str], shown: str, rule: str
) -> tuple[list[Line], list[str]]:
    """Lines of a table with one column a data set, and notes on them.

    Args:
        data_sets: the columns, before the average. One that papers have no figures of stays empty.
        methods: see `published_lines`, as for what follows.
        shown: published rows.
        rule: the selection rule.
    """
    lines, rows = [], []
    found, unnamed = _rows(methods, shown, rule)
    names = [data.name if data.published else "" for data in data_sets]
    for row in found:
        means = {figure.data: figure for figure in row if not figure.domain}
        cells = [_cell(means.get(name)) for name in names]
        printed = printed_average(row)
        others = {figure.data for figure in row if figure is not printed}
        if printed is not None and others == set(names):
            cells.append(_cell(printed))
        else:
            cells.append(_mean(cells))
        if any(cell.mean is not None for cell in cells):
            lines.append(Line(_name(row[0]), tuple(cells), row[0].source, published=True))
            rows.append(row)
    return lines, _notes(rows, not unnamed.isdisjoint(names))


def _rows(methods: Iterable[str], shown: str, rule: str) -> tuple[list[list[Figure]], set[str]]:
    """The rows of the tables in print, as they follow one another.

    Beside them the data sets of rows that are left out because they name no rule, and this is not
    the one that they are of.
    """
    same = _names_in_print(methods)
    rows: dict[tuple, list[Figure]] = {}
    unnamed = set()
    for figure in published(part=TARGET):
        wanted = shown == ALL or (shown == SAME and figure.method in same)
        if figure.section not in _SECTIONS or not wanted:
            continue
        if figure.setting.get("selection", SOURCE_VALIDATION) == rule:
            rows.setdefault((figure.table, figure.method), []).append(figure)
        elif "selection" not in figure.setting:
            unnamed.add(figure.data)
    return list(rows.values()), unnamed


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


def _notes(rows: Sequence[Sequence[Figure]], left_out: bool) -> list[str]:
    notes = [f"{_name(row[0])}, {row[0].source}: {row[0].note}" for row in rows if row[0].note]
    backbones: Mapping[str, None] = dict.fromkeys(row[0].backbone for row in rows)
    if backbones:
        notes.insert(0, f"Published figures are of {', '.join(backbones)}")
    if left_out:
        notes.append("Published figures that were selected on source validation are left out")
    return notes
