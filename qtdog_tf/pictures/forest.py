"""Values with error bars below each other, one row a method. Start from `svg_forest`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qtdog_tf.pictures.series import INK, Style, styles_for
from qtdog_tf.pictures.svg import LONGEST_TITLE, WIDTH, Panel, draw_panels, shorten, svg_panels

_ROW, _FRAME = 0.3, 0.75


def svg_forest(
    rows: Sequence[Mapping[str, Any]],
    title: str,
    x_label: str,
    zero: bool = False,
    styles: Mapping[str, Style] | None = None,
) -> str:
    """The rows as an `<svg>` element, see `forest_panel`."""
    return svg_panels([forest_panel(rows, title, x_label, zero, styles)])


def draw_forest(
    rows: Sequence[Mapping[str, Any]],
    path: Path,
    title: str,
    x_label: str,
    zero: bool = False,
    styles: Mapping[str, Style] | None = None,
) -> None:
    """Writes the rows as a picture, see `forest_panel`."""
    draw_panels([forest_panel(rows, title, x_label, zero, styles)], path)


def forest_panel(
    rows: Sequence[Mapping[str, Any]],
    title: str,
    x_label: str,
    zero: bool = False,
    styles: Mapping[str, Style] | None = None,
) -> Panel:
    """Values with their standard errors.

    Args:
        rows: "name", "value" and "error" (None: unknown), first on top.
        title: of the panel.
        x_label: what the value is.
        zero: whether to draw a line at 0, for differences.
        styles: by name. Default: in order.
    """
    styles = styles or styles_for(row["name"] for row in rows)

    def draw(axes: Any) -> None:
        for place, row in enumerate(rows):
            style = styles[row["name"]]
            axes.errorbar(
                row["value"],
                -place,
                xerr=row["error"],
                color=style.colour,
                marker=style.marker,
                markersize=6,
            )
        if zero:
            axes.axvline(0, color=INK, linewidth=0.9)
        axes.set_yticks([-i for i in range(len(rows))], [shorten(row["name"], 24) for row in rows])
        axes.set_ylim(-len(rows) + 0.5, 0.5)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(shorten(x_label, LONGEST_TITLE))

    values = ", ".join(f"{shorten(row['name'])} {_value(row)}" for row in rows)
    text = f"Points with error bars, {x_label}: {values}."
    return Panel(title, text, draw, WIDTH, _FRAME + _ROW * max(len(rows), 2))


def _value(row: Mapping[str, Any]) -> str:
    error = "" if row["error"] is None else f" \N{PLUS-MINUS SIGN} {row['error']:.1f}"
    return f"{row['value']:.1f}{error}"
