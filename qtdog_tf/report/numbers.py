"""Numbers as the report writes them, and the arithmetic of its comparisons."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qtdog_tf.statistics import Pair, standard_error

PM, MINUS = "\N{PLUS-MINUS SIGN}", "\N{MINUS SIGN}"


def percent(value: float | None, signed: bool = False) -> str:
    """A part of 1 as percent with one decimal; "-" for none."""
    if value is None or math.isnan(value):
        return "-"
    return f"{100 * value:{'+' if signed else ''}.1f}".replace("-", MINUS)


def percent_and_error(values: Sequence[float]) -> str:
    """Mean and standard error of parts of 1 as percent; the error from two values on."""
    if not values:
        return "-"
    error = f" {PM} {percent(standard_error(values))}" if len(values) > 1 else ""
    return percent(float(np.mean(values))) + error


def short(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits; "-" for none."""
    if value is None or not math.isfinite(value):
        return "-"
    if value == 0:
        return "0"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    if not -3 < places <= digits + 3:
        return f"{value:.{digits - 1}e}".replace("-", MINUS)
    return f"{value:,.{max(places, 0)}f}".replace("-", MINUS)


def with_error(mean: float, error: float | None, digits: int = 3) -> str:
    """A mean with so many significant digits, and its error with as many places."""
    shown = short(mean, digits)
    if error is None or not math.isfinite(error) or shown == "-":
        return shown
    if "e" in shown:
        return f"{shown} {PM} {short(error, 1)}"
    places = len(shown.partition(".")[2])
    # An error that would be all zeros keeps its first digit.
    rounded = f"{error:,.{places}f}" if error == 0 or error >= 10**-places / 2 else short(error, 1)
    return f"{shown} {PM} {rounded}"


def short_and_error(values: Sequence[float | None], digits: int = 3) -> str:
    """Mean and standard error with significant digits; the error from two values on."""
    there = [value for value in values if value is not None and math.isfinite(value)]
    if not there:
        return "-"
    error = standard_error(there) if len(there) > 1 else None
    return with_error(float(np.mean(there)), error, digits)


def correlation(value: float | None) -> str:
    """A correlation with its sign and two decimals; "-" for none."""
    return "-" if value is None else f"{value:+.2f}".replace("-", MINUS)


def pearson(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Correlation of two series; None below three points, or if one of them is constant."""
    a, b = (np.asarray(values, np.float64) for values in (x, y))
    if len(a) < 3:
        return None
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float(a @ a)) * math.sqrt(float(b @ b))
    # What rounding leaves of a constant is no variation.
    tiny = 1e-12 * len(a) * float(np.abs(x).max()) * float(np.abs(y).max())
    return float(np.clip(a @ b / scale, -1, 1)) if scale > tiny else None


def spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Correlation of ranks, of which equal values share the mean; None as `pearson`."""
    return pearson(ranks(x), ranks(y))


def ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1; equal values share the mean of theirs."""
    array = np.asarray(values, np.float64)
    return [float((array < v).sum() + ((array == v).sum() + 1) / 2) for v in array]


def within(points: Sequence[Mapping[str, Any]], key: str) -> list[float]:
    """A value of each point minus the mean of the points of its "pair".

    A target that is hard for every method makes all its points low: what is left after the mean is
    what methods make of it.
    """
    groups: dict[Pair, list[float]] = {}
    for point in points:
        groups.setdefault(point["pair"], []).append(point[key])
    return [point[key] - float(np.mean(groups[point["pair"]])) for point in points]
