"""Flatness of models at the one radius that tables and sentences quote."""

from collections.abc import Mapping, Sequence

import numpy as np

from qtdog_tf.pictures.flatness import DEQUANTIZED, RAW, find_curve
from qtdog_tf.report.analyses import Entry
from qtdog_tf.statistics import paired_differences

# Where the curves of the paper's figure 3 part: at 40 of 60.
_PLACE = 2 / 3
Series = Mapping[str, Sequence[Entry]]


def quoted_radius(series: Series) -> float | None:
    """The radius that tables quote, of those that every model was measured at; None without one."""
    tables = [set(entry.result["radii"]) for entries in series.values() for entry in entries]
    radii = sorted(set.intersection(*tables)) if tables else []
    if not radii:
        return None
    return radii[round(_PLACE * (len(radii) - 1))]


def flatness_at(
    entry: Entry, role: str, radius: float, direction: str = RAW, weights: str = DEQUANTIZED
) -> float | None:
    """F of one run at a radius; None if it was not measured."""
    curve = find_curve(entry.result, role, direction, weights)
    if curve is None or radius not in entry.result["radii"]:
        return None
    return curve["mean"][entry.result["radii"].index(radius)]


def paired_flatness(
    entries: Sequence[Entry], reference: Sequence[Entry], role: str, radius: float
) -> np.ndarray:
    """Differences of F between models of equal target and trial, float [pairs].

    Args:
        entries: of one method.
        reference: of the method to compare with.
        role: "source" or "target".
        radius: at which.
    """
    mine, others = (
        {e.pair: value for e in of_method if (value := flatness_at(e, role, radius)) is not None}
        for of_method in (entries, reference)
    )
    return paired_differences(mine, others)
