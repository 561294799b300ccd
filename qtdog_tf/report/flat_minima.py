"""Flatness: F over the radius, the Hessian, and whether flatter goes with better here."""

from collections.abc import Sequence

from qtdog_tf.pictures.flatness import (
    DEQUANTIZED,
    RAW,
    mean_flatness,
    svg_flatness,
)
from qtdog_tf.records import SOURCE, TARGET
from qtdog_tf.report.analyses import Entry
from qtdog_tf.report.blocks import (
    Missing,
    Section,
    command,
    details,
    figure,
    heading,
    key_of,
    paragraph,
    table,
)
from qtdog_tf.report.flat_and_good import relation_to_accuracy
from qtdog_tf.report.flat_values import Series, quoted_radius
from qtdog_tf.report.html import Html
from qtdog_tf.report.material import Material
from qtdog_tf.report.numbers import (
    PM,
    short,
    short_and_error,
    with_error,
)

FILTER, REROUNDED = "filter", "rerounded"


def flatness_section(material: Material) -> Section:
    """How much the loss rises around the weights that each method ends at."""
    name, title = "flatness", "Flatness"
    series, hessian = material.analyses.of("flatness"), material.analyses.of("hessian")
    body, missing = Html(""), []
    if series:
        body = body + _curves(material, series) + _table(series)
    else:
        missing.append(Missing("Curves of flatness", analysis="flatness"))
    if hessian:
        body = body + _hessian(hessian)
    else:
        missing.append(Missing("Curvature (Hessian)", analysis="hessian"))
    body = body + relation_to_accuracy(material)
    return Section(name, title, body, tuple(missing))


def _curves(material: Material, series: Series) -> Html:
    results = {name: [entry.result for entry in entries] for name, entries in series.items()}
    key = key_of(material.styles, series)
    counts = ", ".join(f"{name} {len(entries)}" for name, entries in series.items())
    directions = [c["directions"] for e in _every(series) for c in e.result["curves"]]
    unsteady = sum(not c["converged"] for e in _every(series) for c in e.result["curves"])
    note = (
        f"Mean over targets and trials, error bars: standard error over runs (models: {counts}). "
        f"{_range(directions)} random directions a model"
    )
    note += f"; {unsteady} curves stopped before their own error was small." if unsteady else "."
    body = paragraph(
        "F(\N{GREEK SMALL LETTER GAMMA}) is the mean rise of the loss at distance "
        "\N{GREEK SMALL LETTER GAMMA} from the weights, in random directions (the paper's equation "
        "5 and figure 3). The lower a curve, the flatter the minimum. Quantized models are moved "
        "on their dequantized weights, without rounding again."
    )
    body += figure(svg_flatness(results, RAW, styles=material.styles), note, key)
    body += command(entry.command for entry in _every(series))
    for direction, weights, title in (
        (FILTER, DEQUANTIZED, "Directions with the norms of the filters (scale invariant)"),
        (RAW, REROUNDED, "Quantized models rounded again after each move"),
    ):
        if any(
            (c["direction"], c["weights"]) == (direction, weights)
            for e in _every(series)
            for c in e.result["curves"]
        ):
            panels = svg_flatness(results, direction, weights, material.styles)
            more = figure(panels, f"{title}. Means and errors as above.", key)
            body += more if direction == FILTER else details(title, more)
    return body


def _table(series: Series) -> Html:
    radius = quoted_radius(series)
    if radius is None:
        return Html("")
    lines = []
    for name, entries in series.items():
        results = [entry.result for entry in entries]
        cells = []
        for role, direction in (
            (SOURCE, RAW),
            (TARGET, RAW),
            (SOURCE, FILTER),
            (TARGET, FILTER),
        ):
            radii, mean, error = mean_flatness(results, role, direction)
            place = list(radii).index(radius) if radius in radii else None
            cells.append(
                "-" if place is None else with_error(float(mean[place]), float(error[place]))
            )
        norm = short_and_error([result["norm"] for result in results])
        lines.append([name, *cells, norm, str(len(entries))])
    header = ["method", "training, raw", "target, raw", "training, filter", "target, filter"]
    return table(
        [*header, "norm |w|", "models"],
        lines,
        f"F at radius {radius:g} in nats, and the norm of the weights; mean {PM} standard error "
        "over runs",
    )


def _hessian(series: Series) -> Html:
    lines = [
        [
            name,
            short_and_error([entry.result["top"]["value"] for entry in entries]),
            short_and_error([entry.result["trace"]["mean"] for entry in entries]),
            short(_mean([entry.result["trace"]["standard_error"] for entry in entries]), 2),
            f"{sum(e.result['top']['converged'] for e in entries)} of {len(entries)}",
        ]
        for name, entries in series.items()
    ]
    note = paragraph(
        "Of the loss on training images with respect to the weights; the smaller, the flatter. The "
        "paper gives no such numbers."
    )
    header = ["method", "top eigenvalue", "trace", "error of a trace", "converged"]
    caption = (
        f"Top eigenvalue and trace of the Hessian, mean {PM} standard error over runs; the error "
        "of one trace over its random probes"
    )
    return (
        heading("Curvature")
        + note
        + table(header, lines, caption)
        + command(entry.command for entry in _every(series))
    )


def _every(series: Series) -> list[Entry]:
    return [entry for entries in series.values() for entry in entries]


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts, default=0), max(counts, default=0)
    return str(low) if low == high else f"{low} to {high}"
