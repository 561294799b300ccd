"""The loss on the plane through three models, as contour lines. Start from `svg_plane`.

The levels are spaced by equal factors, as in SWAD's figures: a basin is many lines wide.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qtdog_tf.pictures.series import BLUE, INK, VERMILION
from qtdog_tf.pictures.svg import Panel, draw_panels, shorten, svg_panels
from qtdog_tf.records import SOURCE, TARGET

# What a plane analysis returns.
Plane = Mapping[str, Any]
LEVELS = 7
_TITLES = {SOURCE: "Loss on training images, nats", TARGET: "Loss on the target, nats"}
_MARKERS = ("o", "s", "^")


def svg_plane(plane: Plane) -> str:
    """The planes as `<svg>` elements, see `plane_panels`."""
    return svg_panels(plane_panels(plane))


def draw_plane(plane: Plane, path: Path) -> None:
    """Writes the planes as a picture, see `plane_panels`.

    Args:
        plane: see there.
        path: the .svg or .png file.
    """
    draw_panels(plane_panels(plane), path)


def plane_panels(plane: Plane) -> list[Panel]:
    """A panel for each role.

    Args:
        plane: "points" (three, with "label", "x" and "y"), "x" and "y" (places of the grid) and
            "grids" ("role" and "loss" [y][x]).
    """
    return [_panel(plane, grid) for grid in plane["grids"]]


def contour_levels(loss: np.ndarray, count: int = LEVELS) -> np.ndarray:
    """Levels from just above the lowest loss to just below the highest, by equal factors.

    Args:
        loss: float, any shape, more than one value. A loss of 0 or below counts as 1e-6.
        count: how many.

    Returns:
        float [count], rising; empty if the loss is the same everywhere.
    """
    low, high = (max(float(value), 1e-6) for value in (np.min(loss), np.max(loss)))
    if not high > low * (1 + 1e-9):
        return np.empty(0)
    return np.geomspace(low, high, count + 2)[1:-1]


def _panel(plane: Plane, grid: Mapping[str, Any]) -> Panel:
    loss = np.array(grid["loss"], np.float64)
    levels = contour_levels(loss)
    points: Sequence[Mapping[str, Any]] = plane["points"]

    def draw(axes: Any) -> None:
        axes.grid(False)
        for level in levels:
            # One fill above another: the higher the loss, the fuller.
            if level < loss.max():
                axes.contourf(
                    plane["x"], plane["y"], loss, [level, loss.max()], colors=[BLUE], alpha=0.09
                )
        if len(levels):
            lines = axes.contour(
                plane["x"], plane["y"], loss, levels, colors=[BLUE], linewidths=0.9
            )
            axes.clabel(lines, fmt=_label(levels), fontsize=8, colors=[INK])
        for marker, point in zip(_MARKERS, points, strict=False):
            name = shorten(point["label"], 44)
            style = {"marker": marker, "color": VERMILION, "markersize": 7, "linestyle": ""}
            axes.plot(point["x"], point["y"], label=name, **style)
        # Below the axes: on the lines, names could not be read.
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), handletextpad=0)
        axes.set_ylabel("distance in weights")
        # Of a long and narrow plane, equal scales would leave nothing to see.
        shape = np.ptp(plane["y"]) / np.ptp(plane["x"])
        axes.set_aspect("equal" if 0.4 < shape < 2.5 else "auto")

    at = ", ".join(
        f"{shorten(point['label'])} {_loss_at(plane, loss, point):.3g}" for point in points
    )
    text = (
        f"Contour lines of the loss from {loss.min():.3g} to {loss.max():.3g} nats around three "
        f"models; next to them the loss is: {at}."
    )
    return Panel(_TITLES.get(grid["role"], f"Loss, {grid['role']}"), text, draw, height=4.3)


def _label(levels: np.ndarray) -> Callable[[float], str]:
    """Writes levels with as many digits as tell them apart."""
    digits = next((n for n in range(2, 6) if len({f"{v:.{n}g}" for v in levels}) == len(levels)), 6)
    return lambda level: f"{level:.{digits}g}"


def _loss_at(plane: Plane, loss: np.ndarray, point: Mapping[str, Any]) -> float:
    """The loss at the place of the grid that is nearest to a point."""
    column = int(np.abs(np.array(plane["x"]) - point["x"]).argmin())
    row = int(np.abs(np.array(plane["y"]) - point["y"]).argmin())
    return float(loss[row, column])
