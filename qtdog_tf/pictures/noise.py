"""Quantization noise of layers, as in the paper's figures 2 and 8. Start from `svg_noise`.

Left the density of w_q - w against the uniform distribution on the same range; right its symmetry:
sorted distances to the median of the upper half against those of the lower half, a straight line if
the noise is symmetric.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qtdog_tf.pictures.series import BLUE, INK, VERMILION
from qtdog_tf.pictures.svg import Panel, draw_panels, shorten, svg_panels

# A layer of what a noise analysis returns.
Layer = Mapping[str, Any]
_HEIGHT = 2.5


def svg_noise(layers: Sequence[Layer]) -> str:
    """The panels as `<svg>` elements, see `noise_panels`."""
    return svg_panels(noise_panels(layers))


def draw_noise(layers: Sequence[Layer], path: Path, count: int = 4) -> None:
    """Writes the panels of a few layers as a picture, see `noise_panels`.

    Args:
        layers: of a noise analysis, one or more.
        path: the .svg or .png file.
        count: how many to show at most, see `typical_layers`. Default 4.
    """
    draw_panels(noise_panels(typical_layers(layers, count)), path)


def noise_panels(layers: Sequence[Layer]) -> list[Panel]:
    """Two panels a layer: histogram and symmetry.

    Args:
        layers: of a noise analysis, those to show.
    """
    return [panel for layer in layers for panel in (_histogram(layer), _symmetry(layer))]


def typical_layers(layers: Sequence[Layer], count: int = 3) -> list[Layer]:
    """The layers at even places in the order of their KL, from the least to the most.

    Args:
        layers: of a noise analysis.
        count: how many at most.
    """
    ordered = sorted(layers, key=lambda layer: layer["kl"])
    places = np.linspace(0, len(ordered) - 1, min(count, len(ordered))).round().astype(int)
    return [ordered[place] for place in places]


def _histogram(layer: Layer) -> Panel:
    edges = np.array(layer["histogram"]["edges"], np.float64)
    density = np.array(layer["histogram"]["density"], np.float64)
    span = edges[-1] - edges[0]
    uniform = 1 / span if span > 0 else 0.0

    def draw(axes: Any) -> None:
        axes.stairs(density, edges, fill=True, color=BLUE, alpha=0.45)
        axes.plot(edges[[0, -1]], [uniform] * 2, color=VERMILION, linestyle=(0, (6, 2)))
        axes.annotate("uniform", (edges[-1], 1.1 * uniform), ha="right", va="bottom", size=8.5)
        axes.set_ylim(0, max(1.25 * float(density.max(initial=0)), 1.4 * uniform, 1e-12))
        axes.set_xlabel("quantized weight - weight")
        axes.set_ylabel("density")
        axes.locator_params(axis="x", nbins=5)
        axes.ticklabel_format(axis="x", scilimits=(-2, 3))

    text = (
        f"Histogram of {layer['weights']:,} differences of {shorten(layer['name'])}, "
        f"{layer['bits']} bits, against a uniform density: the Kullback-Leibler divergence is "
        f"{layer['kl']:.2g}."
    )
    return Panel(f"{shorten(layer['name'], 28)}: KL {layer['kl']:.2g}", text, draw, height=_HEIGHT)


def _symmetry(layer: Layer) -> Panel:
    lower, upper = (np.array(layer["symmetry"][half], np.float64) for half in ("lower", "upper"))

    def draw(axes: Any) -> None:
        end = max(lower.max(initial=0), upper.max(initial=0))
        axes.plot([0, end], [0, end], color=INK, linewidth=0.9, linestyle=(0, (1, 2)))
        axes.plot(lower, upper, color=BLUE, marker="o", markersize=2.5, linestyle="")
        axes.set_xlabel("lower half: distance to the median")
        axes.set_ylabel("upper half")
        axes.locator_params(nbins=5)
        axes.ticklabel_format(scilimits=(-2, 3))

    apart = (
        float(np.abs(lower - upper).max(initial=0)) if len(lower) == len(upper) else float("nan")
    )
    text = (
        f"Distances to the median of the lower and the upper half of the differences of "
        f"{shorten(layer['name'])}, one against the other: they lie at most {apart:.2g} off the "
        "diagonal that a symmetric distribution gives."
    )
    return Panel(f"{shorten(layer['name'], 28)}: symmetry", text, draw, height=_HEIGHT)
