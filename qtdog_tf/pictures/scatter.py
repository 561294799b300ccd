"""A measure of each run against its target accuracy. Start from `svg_scatter`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qtdog_tf.pictures.series import Style, styles_for
from qtdog_tf.pictures.svg import LONGEST_TITLE, Panel, draw_panels, shorten, svg_panels


def svg_scatter(
    points: Sequence[Mapping[str, Any]],
    title: str,
    x_label: str,
    note: str = "",
    styles: Mapping[str, Style] | None = None,
) -> str:
    """Points as an `<svg>` element, see `scatter_panel`."""
    return svg_panels([scatter_panel(points, title, x_label, note, styles)])


def draw_scatter(
    points: Sequence[Mapping[str, Any]],
    path: Path,
    title: str,
    x_label: str,
    note: str = "",
    styles: Mapping[str, Style] | None = None,
) -> None:
    """Writes points as a picture, see `scatter_panel`."""
    styles = styles or styles_for(point["method"] for point in points)
    shown = {name: styles[name] for name in dict.fromkeys(point["method"] for point in points)}
    draw_panels([scatter_panel(points, title, x_label, note, styles)], path, shown)


def scatter_panel(
    points: Sequence[Mapping[str, Any]],
    title: str,
    x_label: str,
    note: str = "",
    styles: Mapping[str, Style] | None = None,
) -> Panel:
    """Flatness against target accuracy, one point a run.

    Args:
        points: "method", "x", and "y", an accuracy from 0 to 1.
        title: of the panel.
        x_label: what x is.
        note: a line below that, correlations for example.
        styles: by method. Default: in order.
    """
    styles = styles or styles_for(point["method"] for point in points)

    def draw(axes: Any) -> None:
        for name in dict.fromkeys(point["method"] for point in points):
            mine = [point for point in points if point["method"] == name]
            style = styles[name]
            axes.plot(
                [point["x"] for point in mine],
                [100 * point["y"] for point in mine],
                color=style.colour,
                marker=style.marker,
                linestyle="",
                alpha=0.85,
            )
        lines = [shorten(line, LONGEST_TITLE) for line in (x_label, note) if line]
        axes.set_xlabel("\n".join(lines))
        axes.set_ylabel("target accuracy in %")

    text = (
        f"{len(points)} points, one a run: {x_label} to the right, target accuracy upwards. {note}"
    )
    return Panel(title, text.strip(), draw)
