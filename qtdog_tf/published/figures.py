"""Published figures as records. Start from `published`.

published(table="bits", data="pacs", part=TARGET)     the paper's bits column
published(section="8.1", method="QT-DoG")             QT-DoG on all five sets, and its average
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qtdog_tf.published.reading import AVERAGE, TARGET, read_tables


@dataclasses.dataclass(frozen=True)
class Figure:
    """One printed number.

    Attributes:
        table: name of the table that it stands in, "main" for example; see the JSON files.
        section: of the specification, "8.1" to "8.7".
        source: paper and table, for people.
        method: as `method_name` calls it, without bits: "ERM", "CORAL + QT-DoG", "EoQ".
        data: the data set, as the catalogue calls it; "average" over those of the row;
            "wilds_amazon", "wilds_camelyon"; "none".
        domain: the target, as the catalogue calls it; empty for the mean over targets.
        part: TARGET: on a domain never trained on; SOURCE: in the domains trained on.
        value: accuracy in %, or what `unit` says.
        error: standard error of it; None if none is printed.
        unit: "%" or "ms".
        backbone: "resnet50" for example.
        bits: bit width of the weights.
        models: how many are averaged or run; None if that is not said.
        size: of the whole in multiples of one float32 model; None if not printed.
        compression: as printed; None if not.
        setting: what else the row stands for, by the name of our setting where there is one:
            "quantize_step", "per_channel", "noise_amplitude", "selection", "split".
        doubtful: whether it is known to be wrong in print; `note` says how.
        note: what to know of the row before its figures are compared with others.
    """

    table: str
    section: str
    source: str
    method: str
    data: str
    domain: str
    part: str
    value: float
    error: float | None
    unit: str
    backbone: str
    bits: int
    models: int | None
    size: float | None
    compression: float | None
    setting: Mapping[str, Any]
    doubtful: bool
    note: str


def published(
    *,
    table: str | None = None,
    section: str | None = None,
    method: str | None = None,
    data: str | None = None,
    domain: str | None = None,
    part: str | None = None,
    backbone: str | None = None,
    bits: int | None = None,
) -> tuple[Figure, ...]:
    """The published figures that agree with all that is given, in the order of print.

    Args:
        table: see `Figure`, as all of these. Default: any.
        section: of the specification.
        method: of the row.
        data: the data set, or `AVERAGE`.
        domain: the target; "" for means over targets only.
        part: `TARGET` or `SOURCE`.
        backbone: of the row.
        bits: of the row.
    """
    wanted = {
        "table": table,
        "section": section,
        "method": method,
        "data": data,
        "domain": domain,
        "part": part,
        "backbone": backbone,
        "bits": bits,
    }
    asked = {name: value for name, value in wanted.items() if value is not None}
    return tuple(
        figure
        for figure in _every_figure()
        if all(getattr(figure, name) == value for name, value in asked.items())
    )


def printed_average(row: Sequence[Figure]) -> Figure | None:
    """The average among the figures of one row, which is over the others; None if there is none."""
    found = [figure for figure in row if _is_average(figure, row)]
    return found[0] if found else None


def _is_average(figure: Figure, row: Sequence[Figure]) -> bool:
    if figure.data == AVERAGE:
        return len(row) > 1
    # Of a row of targets of one data set: the one without a target.
    return not figure.domain and any(other.domain for other in row)


@functools.cache
def _every_figure() -> tuple[Figure, ...]:
    figures: list[Figure] = []
    for name, table in read_tables().items():
        for row in table["rows"]:
            of_row = _figures_of_row(name, table, row)
            _check_average(of_row)
            figures += of_row
    return tuple(figures)


def _figures_of_row(name: str, table: Mapping[str, Any], row: Mapping[str, Any]) -> list[Figure]:
    columns, values = list(table["columns"]), list(row["values"])
    if "average" in row:
        data = {column["data"] for column in columns}
        of_domains = any("domain" in column for column in columns)
        columns.append({"data": data.pop() if of_domains else AVERAGE})
        values.append(row["average"])
    figures = []
    for column, value in zip(columns, values, strict=True):
        if value is None:
            continue
        mean, error = value if isinstance(value, list) else (value, None)
        is_average = "average" in row and column is columns[-1]
        figures.append(
            Figure(
                table=name,
                section=table["section"],
                source=table["source"],
                method=row["method"],
                data=column["data"],
                domain=column.get("domain", ""),
                part=column.get("part", TARGET),
                value=float(mean),
                error=None if error is None else float(error),
                unit=table.get("unit", "%"),
                backbone=table["backbone"],
                bits=row.get("bits", 32),
                models=row.get("models", 1),
                size=row.get("size"),
                compression=row.get("compression"),
                setting=row.get("setting", table.get("setting", {})),
                doubtful=("average" if is_average else column["data"]) in row.get("doubtful", []),
                note=row.get("note", ""),
            )
        )
    return figures


# Figures and their average are each rounded to one decimal.
_ROUNDING = 0.1 + 1e-9


def _check_average(row: Sequence[Figure]) -> None:
    """Raises ValueError if a printed average is wrong and not marked, or marked and not wrong."""
    average = printed_average(row)
    if average is None:
        return
    mean = float(np.mean([figure.value for figure in row if figure is not average]))
    if (abs(mean - average.value) > _ROUNDING) != average.doubtful:
        raise ValueError(
            f"{average.table}, {average.method}: printed average {average.value}, mean {mean:.2f}, "
            f"marked as doubtful: {average.doubtful}"
        )
