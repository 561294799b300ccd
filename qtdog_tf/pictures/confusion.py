"""Confusion matrices as a picture, one panel a domain. Start from `draw_confusion`."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import PowerNorm

from qtdog_tf.evaluation.metrics import DomainResult
from qtdog_tf.pictures.canvas import INK, LINE, PALE_INK, new_figure, save_figure

# Up to so many classes; inches a cell; points of names and of counts. Cells must hold the digits of
# their count; from the second size on, the names of classes decide.
_SIZES = ((20, 0.38, 9.0, 9.0), (100, 0.22, 9.0, 6.5), (math.inf, 0.075, 4.2, None))
_TITLE_SIZE, _PANEL_TITLE_SIZE = 13, 10.5
_HEADER, _TITLE, _GAP, _MARGIN = 0.85, 0.3, 0.4, 0.2
_MIN_WIDTH = 6.6
_LETTER = 0.6 / 72  # a letter's width, inches a point
_CAPTION = (
    "Rows: true class (number of images). Columns: predicted class. Cells: images; darker: a\n"
    "larger part of the row. Hatched: no image of this class."
)


def draw_confusion(results: Sequence[DomainResult], path: Path, title: str) -> None:
    """Draws the confusion matrices of one run.

    The colour of a cell is its part of the true class (its row), so the diagonal shows each class's
    recall; the number in it counts images. Over 100 classes, there are colours only.

    Args:
        results: one panel each; they share their classes.
        path: the .png file to write.
        title: of the picture.
    """
    layout = _Layout.of(results, title)
    figure = new_figure(layout.width, layout.height)
    x, y = _MARGIN / layout.width, _MARGIN / layout.height
    figure.text(x, 1 - y, title, size=_TITLE_SIZE, va="top", color=INK, parse_math=False)
    figure.text(x, 1 - 2.3 * y, _CAPTION, size=8.5, va="top", color=PALE_INK)
    for number, result in enumerate(results):
        _draw_panel(figure.add_axes(layout.place(number)), result, layout)
    save_figure(figure, path)


@dataclasses.dataclass(frozen=True)
class _Layout:
    """How large everything is: inches, and points of letters."""

    columns: int
    rows: int
    side: float  # of a matrix
    titles: float  # room for the longest title of a panel
    heading: float  # room for the title of the picture
    left: float  # room for the names of rows
    below: float  # room for the names of columns
    name_size: float
    count_size: float | None

    @classmethod
    def of(cls, results: Sequence[DomainResult], title: str) -> "_Layout":
        classes = results[0].classes
        cell, name_size, count_size = next(s[1:] for s in _SIZES if len(classes) <= s[0])
        names = max(map(len, classes)) * name_size * _LETTER
        titles = max(len(_panel_title(result)) for result in results)
        columns = math.ceil(math.sqrt(len(results)))
        return cls(
            columns=columns,
            rows=math.ceil(len(results) / columns),
            side=cell * len(classes),
            titles=titles * _PANEL_TITLE_SIZE * _LETTER,
            heading=len(title) * _TITLE_SIZE * _LETTER,
            # The names of rows are followed by a count.
            left=names + 8 * name_size * _LETTER + 0.1,
            below=names + 0.1,
            name_size=name_size,
            count_size=count_size,
        )

    @property
    def panel_width(self) -> float:
        return self.left + max(self.side, self.titles) + _GAP

    @property
    def panel_height(self) -> float:
        return _TITLE + self.side + self.below + _GAP

    @property
    def width(self) -> float:
        return max(self.columns * self.panel_width, self.heading + 2 * _MARGIN, _MIN_WIDTH)

    @property
    def height(self) -> float:
        return _HEADER + self.rows * self.panel_height

    def place(self, number: int) -> tuple[float, float, float, float]:
        """Left, bottom, width and height of a matrix, as parts of the figure."""
        row, column = divmod(number, self.columns)
        left = column * self.panel_width + self.left
        top = _HEADER + row * self.panel_height + _TITLE
        bottom = self.height - top - self.side
        return (
            left / self.width,
            bottom / self.height,
            self.side / self.width,
            self.side / self.height,
        )


def _draw_panel(axes: Any, result: DomainResult, layout: _Layout) -> None:
    counts, support = result.confusion, result.support
    share = counts / np.maximum(support, 1)[:, None]
    # The root lets a single mistake be seen beside a full diagonal.
    axes.imshow(share, cmap="Blues", norm=PowerNorm(0.6, 0, 1), interpolation="nearest")
    places = np.arange(len(result.classes))
    names = [f"{name} ({n})" for name, n in zip(result.classes, support, strict=True)]
    axes.set_yticks(places, names, size=layout.name_size, parse_math=False)
    axes.set_xticks(places, result.classes, size=layout.name_size, rotation=90, parse_math=False)
    axes.tick_params(length=0, colors=INK)
    axes.set_title(
        _panel_title(result), size=_PANEL_TITLE_SIZE, loc="left", color=INK, parse_math=False
    )
    axes.spines[:].set_color(LINE)
    if layout.count_size:
        axes.set_xticks(places[1:] - 0.5, minor=True)
        axes.set_yticks(places[1:] - 0.5, minor=True)
        axes.grid(which="minor", color=LINE, linewidth=0.3)
        axes.tick_params(which="minor", length=0)
        for i, j in np.argwhere(counts):
            colour = "white" if share[i, j] > 0.45 else INK
            size = layout.count_size
            axes.text(j, i, str(counts[i, j]), size=size, ha="center", va="center", color=colour)
    for absent in places[support == 0]:
        axes.axhspan(absent - 0.5, absent + 0.5, facecolor="white", edgecolor=LINE, hatch="////")


def _panel_title(result: DomainResult) -> str:
    accuracy = f"{100 * result.accuracy:.1f} % right" if result.images else "no images"
    return f"{result.domain} ({result.role}, {result.part}): {accuracy}"
