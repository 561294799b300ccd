"""What the summary says of flatness, rounding noise, calibration and exported files."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from qtdog_tf.evaluation.method_names import reference_name
from qtdog_tf.pictures.flatness import mean_flatness
from qtdog_tf.records import SOURCE, TARGET
from qtdog_tf.report.analyses import Entry
from qtdog_tf.report.confidence import calibration_errors
from qtdog_tf.report.flat_and_good import flatness_points
from qtdog_tf.report.flat_values import paired_flatness, quoted_radius
from qtdog_tf.report.material import Material
from qtdog_tf.report.numbers import (
    correlation,
    pearson,
    percent_and_error,
    short,
    with_error,
    within,
)
from qtdog_tf.report.rounding import PAPER_KL, divergences, quantized_noise
from qtdog_tf.report.sentences import Said, counted, nothing, tile
from qtdog_tf.statistics import paired_error


def flattest_said(material: Material) -> Said:
    """Which method's loss rises least, on training images and on the target."""
    series = material.analyses.of("flatness")
    radius = quoted_radius(series)
    said, tiles = [], []
    for role, where in ((SOURCE, "training images"), (TARGET, "the target")):
        values = _at_radius(series, role, radius)
        if len(values) < 2 or radius is None:
            continue
        best = min(values, key=lambda name: values[name][0])
        rest = f"{best}: the loss rises by {with_error(*values[best])} at radius {radius:g}"
        other = reference_name(values, material.baseline)
        if other is not None and other != best:
            rest += f"; of {other} by {with_error(*values[other])}"
            differences = paired_flatness(series[best], series[other], role, radius)
            rest += _paired(differences)
            if role == SOURCE and _is_clear(differences) and values[other][0] > 0:
                ratio = values[best][0] / values[other][0]
                what = f"of {other}'s rise of the training loss at radius {radius:g}: {best}"
                tiles.append(tile(f"{100 * ratio:.0f} %", "", what))
        said.append((f"Flattest on {where}.", rest + "."))
    return said, tiles


def _paired(differences: np.ndarray) -> str:
    if not len(differences):
        return ""
    pairs = counted(len(differences), "pair")
    shown = with_error(float(differences.mean()), paired_error(differences))
    clear = "" if _is_clear(differences) else ", which may be chance"
    return f"; difference over {pairs} of equal target and split: {shown}{clear}"


def _is_clear(differences: np.ndarray) -> bool:
    """Whether a mean difference is more than two standard errors from 0."""
    error = paired_error(differences)
    return error is not None and abs(float(differences.mean())) > 2 * error


def correlation_said(material: Material) -> Said:
    """Whether flatter went with better."""
    points = [point for point in flatness_points(material) if point[TARGET] is not None]
    value = pearson([p[TARGET] for p in points], [p["y"] for p in points])
    if value is None:
        return nothing()
    inside = pearson(within(points, TARGET), within(points, "y"))
    meaning = verdict(value, inside, len(points), len({point["pair"] for point in points}))
    rest = (
        f"Over {len(points)} models, F on the target and target accuracy correlate by "
        f"{correlation(value)} ({correlation(inside)} within target and split): {meaning}."
    )
    return [("Does flatter go with better?", rest)], []


def verdict(value: float, inside: float | None, count: int, pairs: int) -> str:
    """What correlations of flatness and accuracy over some models mean.

    Args:
        value: over all of them. A target that is hard for every method makes one that says
            nothing of methods.
        inside: within target and split; it decides if it is known.
        count: number of models.
        pairs: of target and split, among them.
    """
    # Every mean that is taken off takes a degree of freedom with it; over all models that is one.
    told, means = (value, 1) if inside is None else (inside, pairs)
    # Of unrelated values, it has a standard deviation of 1 / root of the degrees of freedom.
    if abs(told) <= 2 / math.sqrt(max(count - means, 1)):
        return "between methods no relation that so few models could show"
    return "flatter went with better" if told < 0 else "flatter went with worse"


def noise_said(material: Material) -> Said:
    """How uniform rounding noise is."""
    series = quantized_noise(material)
    if not series:
        return nothing()
    name, entries = next(iter(series.items()))
    values = divergences(entries)
    inside = divergences(entries, "kl_inside")
    low, high = min(PAPER_KL), max(PAPER_KL)
    unclipped = ""
    if inside:
        middle = short(float(np.median(inside)), 2)
        unclipped = f", {middle} in steps and without clipped weights"
    rest = (
        f"Of {name}, the median divergence from a uniform distribution is "
        f"{short(float(np.median(values)), 2)} over {len(values)} layers{unclipped} (the paper's "
        f"five layers: {low:g} to {high:g})."
    )
    return [("Rounding noise.", rest)], []


def calibration_said(material: Material) -> Said:
    """Which method is least wrong about how sure it may be."""
    series = material.analyses.of("calibration")
    errors = {name: calibration_errors(entries, "target") for name, entries in series.items()}
    errors = {name: values for name, values in errors.items() if values}
    if not errors:
        return nothing()
    best = min(errors, key=lambda name: float(np.mean(errors[name])))
    least = " has the least error" if len(errors) > 1 else " has an error of"
    rest = f"On the target {best}{least}, {percent_and_error(errors[best])} %"
    source = calibration_errors(series[best], "source validation")
    tail = f"; on source validation {percent_and_error(source)} %" if source else ""
    return [("Calibration.", f"{rest}{tail}.")], []


def files_said(material: Material) -> Said:
    """How many files there are, whether they passed, how large the smallest that did is."""
    if not material.exports:
        return nothing()
    failed = [name for name, export in material.exports.items() if not export["passed"]]
    checks = f"checks failed: {', '.join(failed)}" if failed else "all checks passed"
    said = f"{counted(len(material.exports), 'exported file')}, {checks}"
    # A file that failed was never written.
    passed = {n: export["sizes"] for n, export in material.exports.items() if n not in failed}
    if not passed:
        return [("Files.", f"{said}.")], []
    name = min(passed, key=lambda name: passed[name]["bytes"])
    sizes = passed[name]
    times = short(sizes["float_bytes"] / max(sizes["bytes"], 1), 2)
    size = f"{short(sizes['bytes'] / 1e6)} MB"
    rest = f"{said}; the smallest, {name}, has {size}, {times} times smaller than the float model."
    return [("Files.", rest)], [tile(size, "", f"smallest file: {name}")]


def _at_radius(
    series: Mapping[str, Sequence[Entry]], role: str, radius: float | None
) -> dict[str, tuple[float, float]]:
    """Mean and error of F by method."""
    values = {}
    for name, entries in series.items():
        radii, mean, error = mean_flatness([entry.result for entry in entries], role)
        if radius in radii:
            place = list(radii).index(radius)
            values[name] = float(mean[place]), float(error[place])
    return values
