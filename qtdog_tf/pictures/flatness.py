"""Local flatness as in the paper's figure 3. Start from `svg_flatness`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qtdog_tf.pictures.series import Style, styles_for
from qtdog_tf.pictures.svg import Panel, draw_panels, shorten, svg_panels
from qtdog_tf.records import SOURCE, TARGET
from qtdog_tf.statistics import standard_errors

# What a flatness analysis returns.
Flatness = Mapping[str, Any]
RAW, DEQUANTIZED = "raw", "dequantized"
_TITLES = {SOURCE: "F on training images", TARGET: "F on the target"}


def svg_flatness(
    results: Mapping[str, Sequence[Flatness]],
    direction: str = RAW,
    weights: str = DEQUANTIZED,
    styles: Mapping[str, Style] | None = None,
) -> str:
    """The curves as `<svg>` elements, see `flatness_panels`."""
    return svg_panels(flatness_panels(results, direction, weights, styles))


def draw_flatness(
    results: Mapping[str, Sequence[Flatness]],
    path: Path,
    styles: Mapping[str, Style] | None = None,
) -> None:
    """Writes the curves of every kind that was measured as one picture, see `flatness_panels`.

    Args:
        results: see there.
        path: the .svg or .png file; not written if there are no curves.
        styles: see there.
    """
    styles = styles or styles_for(results)
    panels = [
        panel
        for direction, weights in _kinds(results)
        for panel in flatness_panels(results, direction, weights, styles)
    ]
    draw_panels(panels, path, {name: styles[name] for name in results})


def _kinds(results: Mapping[str, Sequence[Flatness]]) -> list[tuple[str, str]]:
    """The pairs of direction and weights that some run was measured in, in their order there."""
    curves = [curve for of in results.values() for result in of for curve in result["curves"]]
    return list(dict.fromkeys((curve["direction"], curve["weights"]) for curve in curves))


def flatness_panels(
    results: Mapping[str, Sequence[Flatness]],
    direction: str = RAW,
    weights: str = DEQUANTIZED,
    styles: Mapping[str, Style] | None = None,
) -> list[Panel]:
    """A panel for the training images of the sources and one for the targets.

    Args:
        results: by method, what a flatness analysis found for each of its runs.
        direction: "raw" or "filter".
        weights: "dequantized" or "rerounded".
        styles: by method. Default: in order.

    Returns:
        Panels for which there are curves; error bars are those of `mean_flatness`.
    """
    styles = styles or styles_for(results)
    panels = []
    for role, title in _TITLES.items():
        means = {
            name: mean_flatness(of_method, role, direction, weights)
            for name, of_method in results.items()
        }
        means = {name: mean for name, mean in means.items() if len(mean[0])}
        if means:
            kind = (
                f"{direction} directions" if weights == DEQUANTIZED else f"{direction}, {weights}"
            )
            panels.append(_panel(f"{title}, {kind}", means, styles))
    return panels


def mean_flatness(
    results: Sequence[Flatness], role: str, direction: str = RAW, weights: str = DEQUANTIZED
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """F over runs, at the radii that all of them have.

    Args:
        results: of the runs of one method, over targets and trials.
        role: "source" or "target".
        direction: "raw" or "filter".
        weights: "dequantized" or "rerounded". A float model has no lattice: its dequantized curve
            stands for both.

    Returns:
        Radii, mean and standard error, float [n]: over runs (population deviation over the root
        of the count); of a single run that over its directions.
    """
    curves = [find_curve(result, role, direction, weights) for result in results]
    found = [
        (result["radii"], curve)
        for result, curve in zip(results, curves, strict=True)
        if curve is not None
    ]
    if not found:
        return np.empty(0), np.empty(0), np.empty(0)
    radii = sorted(set.intersection(*(set(radii) for radii, _ in found)))

    def values(key: str) -> np.ndarray:
        tables = [dict(zip(radii, curve[key], strict=True)) for radii, curve in found]
        return np.array([[table[radius] for radius in radii] for table in tables], np.float64)

    mean = values("mean")
    error = standard_errors(mean)
    if len(mean) == 1:
        error = values("standard_error")[0]
    return np.array(radii, np.float64), mean.mean(axis=0), error


def find_curve(
    result: Flatness, role: str, direction: str = RAW, weights: str = DEQUANTIZED
) -> Mapping[str, Any] | None:
    """The curve of a run, see `mean_flatness`; None if it was not measured."""
    mine = [c for c in result["curves"] if (c["role"], c["direction"]) == (role, direction)]
    by_weights = {curve["weights"]: curve for curve in mine}
    return by_weights.get(weights, by_weights.get(DEQUANTIZED) if weights != DEQUANTIZED else None)


def _panel(
    title: str,
    means: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]],
    styles: Mapping[str, Style],
) -> Panel:
    def draw(axes: Any) -> None:
        for name, (radii, mean, error) in means.items():
            style = styles[name]
            axes.errorbar(
                radii,
                mean,
                yerr=error,
                color=style.colour,
                marker=style.marker,
                linestyle=style.line,
            )
        axes.set_xlabel("radius \N{GREEK SMALL LETTER GAMMA}")
        axes.set_ylabel("rise of the loss, nats")

    ends = [
        f"{shorten(name)} {mean[-1]:.3g} \N{PLUS-MINUS SIGN} {error[-1]:.2g}"
        for name, (_, mean, error) in means.items()
    ]
    last = max(float(radii[-1]) for radii, _, _ in means.values())
    text = f"Curves that rise with the radius, one a method. At radius {last:g}: {', '.join(ends)}."
    return Panel(title, text, draw)
