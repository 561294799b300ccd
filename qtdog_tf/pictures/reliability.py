"""Whether models know when they do not know: reliability, and accuracy by coverage.

Start from `svg_reliability` or `svg_coverage`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qtdog_tf.pictures.series import INK, Style, styles_for
from qtdog_tf.pictures.svg import Panel, draw_panels, shorten, svg_panels

# A domain of what a calibration analysis returns.
Domain = Mapping[str, Any]


def svg_reliability(
    domains: Mapping[str, Sequence[Domain]],
    title: str,
    styles: Mapping[str, Style] | None = None,
) -> str:
    """The diagram as an `<svg>` element, see `reliability_panel`."""
    return svg_panels([reliability_panel(domains, title, styles)])


def draw_reliability(
    domains: Mapping[str, Sequence[Domain]],
    path: Path,
    title: str,
    styles: Mapping[str, Style] | None = None,
) -> None:
    """Writes reliability and accuracy by coverage as a picture.

    Args:
        domains: see `reliability_panel`.
        path: the .svg or .png file.
        title: of the data, "target" for example.
        styles: by method. Default: in order.
    """
    styles = styles or styles_for(domains)
    panels = [reliability_panel(domains, title, styles), coverage_panel(domains, title, styles)]
    draw_panels(panels, path, {name: styles[name] for name in domains})


def svg_coverage(
    domains: Mapping[str, Sequence[Domain]],
    title: str,
    styles: Mapping[str, Style] | None = None,
) -> str:
    """Accuracy by coverage as an `<svg>` element, see `coverage_panel`."""
    return svg_panels([coverage_panel(domains, title, styles)])


def reliability_panel(
    domains: Mapping[str, Sequence[Domain]],
    title: str,
    styles: Mapping[str, Style] | None = None,
) -> Panel:
    """Accuracy of the images of each bin against their confidence; the diagonal is perfect.

    Args:
        domains: by method, domains of any number of runs; their images are put together.
        title: of the data, "target" for example.
        styles: by method. Default: in order.
    """
    styles = styles or styles_for(domains)
    pooled = {name: pooled_bins(of_method) for name, of_method in domains.items()}

    def draw(axes: Any) -> None:
        axes.plot([0, 100], [0, 100], color=INK, linewidth=0.9, linestyle=(0, (1, 2)))
        for name, (confidence, accuracy, images) in pooled.items():
            style = styles[name]
            axes.plot(
                100 * confidence,
                100 * accuracy,
                color=style.colour,
                linestyle=style.line,
                linewidth=1.2,
                # Bins of few images jump; what counts are the large markers.
                alpha=0.45,
            )
            # The area of a marker is its part of the images.
            sizes = 8 + 120 * images / max(images.sum(), 1)
            axes.scatter(
                100 * confidence, 100 * accuracy, s=sizes, color=style.colour, marker=style.marker
            )
        axes.set_xlim(0, 103)
        axes.set_ylim(0, 103)
        axes.set_xlabel("mean confidence in %")
        axes.set_ylabel("accuracy in %")

    errors = ", ".join(
        f"{shorten(name)} {100 * pooled_ece(d):.1f} %" for name, d in domains.items()
    )
    text = (
        "Lines from low to high confidence, one a method; below the diagonal a model is too sure. "
        f"Expected calibration error of all images together: {errors}."
    )
    return Panel(f"Reliability, {title}", text, draw, height=3.3)


def coverage_panel(
    domains: Mapping[str, Sequence[Domain]],
    title: str,
    styles: Mapping[str, Style] | None = None,
) -> Panel:
    """Accuracy on the most confident part of the images, mean over domains and runs.

    Args:
        domains: by method, domains of any number of runs.
        title: of the data, "target" for example.
        styles: by method. Default: in order.
    """
    styles = styles or styles_for(domains)
    means = {name: mean_coverage(of_method) for name, of_method in domains.items()}

    def draw(axes: Any) -> None:
        for name, (coverage, accuracy) in means.items():
            style = styles[name]
            axes.plot(
                100 * coverage,
                100 * accuracy,
                color=style.colour,
                marker=style.marker,
                linestyle=style.line,
            )
        axes.set_xlabel("most confident images kept, %")
        axes.set_ylabel("accuracy in %")
        axes.invert_xaxis()

    ends = ", ".join(
        f"{shorten(name)} {100 * accuracy[-1]:.1f} % on the {100 * coverage[-1]:.0f} % kept"
        for name, (coverage, accuracy) in means.items()
        if len(coverage)
    )
    text = f"Lines over the part of the images that is kept, one a method: {ends}."
    return Panel(f"Accuracy by coverage, {title}", text, draw, height=3.3)


def pooled_bins(domains: Sequence[Domain]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean confidence, accuracy and number of images of each bin over several domains.

    Returns:
        float [n], float [n], int [n] of the n bins that have images.
    """
    totals: dict[float, np.ndarray] = {}
    for domain in domains:
        for entry in domain["reliability"]:
            if entry["images"]:
                weighted = [entry["confidence"], entry["accuracy"], 1]
                total = totals.setdefault(entry["low"], np.zeros(3))
                total += entry["images"] * np.array(weighted, np.float64)
    table = np.array([totals[low] for low in sorted(totals)]).reshape(-1, 3)
    return table[:, 0] / table[:, 2], table[:, 1] / table[:, 2], table[:, 2].astype(int)


def pooled_ece(domains: Sequence[Domain]) -> float:
    """Expected calibration error of the images of several domains together, 0 to 1."""
    confidence, accuracy, images = pooled_bins(domains)
    if not images.sum():
        return float("nan")
    return float(np.sum(images * np.abs(accuracy - confidence)) / images.sum())


def mean_coverage(domains: Sequence[Domain]) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy at each coverage that all domains have, mean over them; coverage falls."""
    tables = [
        {row["coverage"]: row["accuracy"] for row in domain["selective"]} for domain in domains
    ]
    if not tables:
        return np.empty(0), np.empty(0)
    coverage = sorted(set.intersection(*(set(table) for table in tables)), reverse=True)
    means = [np.mean([table[part] for table in tables]) for part in coverage]
    return np.array(coverage), np.array(means)
