"""Accuracy over training, on source validation and on the target. Start from `svg_curves`.

Each method's curve is the mean over its runs; the band is the standard error of that mean (the
population's standard deviation over the root of the count, as DomainBed reports it).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qtdog_tf.pictures.series import INK, Style, styles_for
from qtdog_tf.pictures.svg import Panel, draw_panels, shorten, svg_panels
from qtdog_tf.statistics import standard_errors

# "steps", "source", "target_in" and "target_out", lists of equal length; those of the target are
# empty in a run without one. As a stability analysis has them, one kind of weights.
Curve = Mapping[str, Any]
_PARTS = {
    "source": "Source validation, accuracy in %",
    "target_in": "Target, accuracy in %",
}


def svg_curves(
    runs: Mapping[str, Sequence[Curve]],
    start: int | None = None,
    styles: Mapping[str, Style] | None = None,
) -> str:
    """The curves as `<svg>` elements, see `curve_panels`."""
    return svg_panels(curve_panels(runs, start, styles))


def draw_curves(
    runs: Mapping[str, Sequence[Curve]],
    path: Path,
    start: int | None = None,
    styles: Mapping[str, Style] | None = None,
) -> None:
    """Writes the curves as a picture, see `curve_panels`.

    Args:
        runs: see there.
        path: the .svg or .png file.
        start: see there.
        styles: see there.
    """
    styles = styles or styles_for(runs)
    shown = {name: styles[name] for name in runs}
    draw_panels(curve_panels(runs, start, styles), path, shown)


def curve_panels(
    runs: Mapping[str, Sequence[Curve]],
    start: int | None = None,
    styles: Mapping[str, Style] | None = None,
) -> list[Panel]:
    """A panel for source validation, and one for the target if a run has one.

    Args:
        runs: by method, the curves of its runs, accuracies from 0 to 1.
        start: step K, at which quantization starts; marked if given.
        styles: by method. Default: in order.
    """
    styles = styles or styles_for(runs)
    panels = []
    for part, title in _PARTS.items():
        means = {name: mean_curve(curves, part) for name, curves in runs.items()}
        means = {name: mean for name, mean in means.items() if len(mean[0])}
        if means:
            panels.append(_panel(title, means, start, styles))
    return panels


def mean_curve(curves: Sequence[Curve], part: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and standard error over runs, at the steps that all of them have.

    Args:
        curves: of one method; those without this part are left out.
        part: "source", "target_in" or "target_out".

    Returns:
        Steps int [n], mean and standard error float [n].
    """
    found = [dict(zip(c["steps"], c[part], strict=True)) for c in curves if len(c[part])]
    if not found:
        return np.empty(0, int), np.empty(0), np.empty(0)
    steps = sorted(set.intersection(*(set(curve) for curve in found)))
    values = np.array([[curve[step] for step in steps] for curve in found], np.float64)
    error = standard_errors(values)
    return np.array(steps, int), values.mean(axis=0), error


def _panel(
    title: str,
    means: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]],
    start: int | None,
    styles: Mapping[str, Style],
) -> Panel:
    def draw(axes: Any) -> None:
        for name, (steps, mean, error) in means.items():
            style = styles[name]
            every = max(1, len(steps) // 8)
            axes.plot(
                steps,
                100 * mean,
                color=style.colour,
                marker=style.marker,
                markevery=every,
                linestyle=style.line,
            )
            low, high = 100 * (mean - error), 100 * (mean + error)
            axes.fill_between(steps, low, high, color=style.colour, alpha=0.13, linewidth=0)
        if start is not None:
            axes.axvline(start, color=INK, linewidth=0.9, linestyle=(0, (1, 2)))
            axes.annotate(
                f" K = {start}", (start, 0.02), xycoords=("data", "axes fraction"), size=8.5
            )
        axes.set_ylim(bottom=_lowest(means, start))
        axes.set_xlabel("training step")

    ends = [
        f"{shorten(name)} {100 * mean[-1]:.1f} % at step {steps[-1]}"
        for name, (steps, mean, _) in means.items()
    ]
    at = f" Quantization starts at step {start}." if start is not None else ""
    text = f"Lines over training steps, one a method. Last values: {', '.join(ends)}.{at}"
    return Panel(title, text, draw)


def _lowest(
    means: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]], start: int | None
) -> float | None:
    """Where the picture begins: the first steep rise is cut off, or nothing else could be seen."""
    if not start:
        return None
    late = [(mean - error)[4 * steps >= start] for steps, mean, error in means.values()]
    values = 100 * np.concatenate(late)
    if not values.size:
        return None
    return float(values.min() - 0.05 * max(np.ptp(values), 1.0))
