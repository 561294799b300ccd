"""A table as cells, before it is text in one of the formats. See `Table`."""

import dataclasses

from qtdog_tf.benchmark_tables.selection import Choice

AVERAGE = "average"


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        mean: in %; None if there is none.
        error: its standard error, percentage points; None if there is none.
        choices: by target and trial, the runs that it is the mean of; empty if it was published.
        instead: what stands there without a mean.
        best: whether no other own figure of the column is higher, as printed.
    """

    mean: float | None = None
    error: float | None = None
    choices: tuple[tuple[str, int, Choice], ...] = ()
    instead: str = "-"
    best: bool = False

    @property
    def text(self) -> str:
        """As it is printed: "84.5 +- 0.6"."""
        if self.mean is None:
            return self.instead
        error = "" if self.error is None else f" +- {self.error:.1f}"
        return f"{self.mean:.1f}{error}"


@dataclasses.dataclass(frozen=True)
class Line:
    """One row.

    Attributes:
        name: of the method.
        cells: one for each column.
        rests_on: how many runs, or where it was published.
        incomplete: whether runs are missing.
        published: whether it was printed by others.
    """

    name: str
    cells: tuple[Cell, ...]
    rests_on: str
    incomplete: bool = False
    published: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        title: the data set, or "All data sets".
        selection: the rule, see `SELECTIONS`.
        caption: what the numbers are, with the rule in words.
        columns: their names.
        lines: own rows first, then published ones.
        notes: what is missing, and what to know before figures are compared.
    """

    title: str
    selection: str
    caption: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]

    @property
    def header(self) -> list[str]:
        """Names of all columns."""
        return ["method", *self.columns, "rests on"]


def mark_best(lines: list[Line]) -> list[Line]:
    """Marks the highest figure of each column, and those that are printed alike."""
    if not lines:
        return lines
    highest = []
    for column in zip(*(line.cells for line in lines), strict=True):
        means = [cell.mean for cell in column if cell.mean is not None]
        highest.append(f"{max(means):.1f}" if len(means) > 1 else None)
    return [dataclasses.replace(line, cells=_marked(line.cells, highest)) for line in lines]


def _marked(cells: tuple[Cell, ...], highest: list[str | None]) -> tuple[Cell, ...]:
    return tuple(
        dataclasses.replace(cell, best=cell.mean is not None and f"{cell.mean:.1f}" == best)
        for cell, best in zip(cells, highest, strict=True)
    )
