"""Paired differences between rows, and what they say of an ordering that the paper prints."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from qtdog_tf.statistics import Pair, paired_differences, paired_error

HOLDS, REVERSED, UNDECIDED = "holds", "reversed", "undecided"


@dataclasses.dataclass(frozen=True)
class Measured:
    """What was measured of a row.

    Attributes:
        values: accuracies (0 to 1) by target and trial.
        pooled: whether they are of ensembles.
    """

    values: Mapping[Pair, float]
    pooled: bool = False


@dataclasses.dataclass(frozen=True)
class Difference:
    """One row minus another, over the runs that both have of equal target and trial.

    Attributes:
        mean: percentage points.
        error: standard error of the mean over pairs; None of a single pair.
        better: pairs in which the first is better.
        worse: in which it is worse.
    """

    mean: float
    error: float | None
    better: int
    worse: int

    @property
    def text(self) -> str:
        """Mean and error for a person, "+1.4 +- 0.8"."""
        return f"{self.mean:+.1f}" + ("" if self.error is None else f" +- {self.error:.1f}")


def paired(one: Mapping[Pair, float], other: Mapping[Pair, float]) -> Difference | None:
    """The difference of accuracies (0 to 1) of equal target and trial; None without a pair.

    Args:
        one: by target and trial.
        other: is taken from it.
    """
    points = 100 * paired_differences(one, other)
    if not len(points):
        return None
    better, worse = int((points > 0).sum()), int((points < 0).sum())
    return Difference(float(points.mean()), paired_error(points), better, worse)


def difference(one: Measured, other: Measured) -> Difference | None:
    """The difference of two rows; None if they have no run to compare.

    An ensemble, of which there is one a target, is compared with the mean over trials of a single
    model: by what the first of these happens to have, it would look good or bad by chance.

    Args:
        one: of a row.
        other: is taken from it.
    """
    if one.pooled == other.pooled:
        return paired(one.values, other.values)
    if one.pooled:
        return paired(one.values, _mean_over_trials(other.values, one.values))
    return paired(_mean_over_trials(one.values, other.values), other.values)


def _mean_over_trials(
    values: Mapping[Pair, float], ensembles: Mapping[Pair, float]
) -> dict[Pair, float]:
    """The mean over trials of each target, under the names of the ensembles of that target."""
    by_target = {
        name: [value for (target, _), value in values.items() if target == name]
        for name, _ in ensembles
    }
    return {pair: float(np.mean(by_target[pair[0]])) for pair in ensembles if by_target[pair[0]]}


def verdict(printed: float, own: Difference) -> str:
    """What a difference here says of a printed one.

    Args:
        printed: not 0; only its sign counts.
        own: over paired runs.

    Returns:
        "holds" or "reversed" if the difference is larger than its standard error, and "undecided"
        otherwise, or if there is one pair only, which has no error.
    """
    if own.error is None or abs(own.mean) <= own.error:
        return UNDECIDED
    return HOLDS if own.mean * printed > 0 else REVERSED


def orderings(
    printed: Mapping[str, tuple[float, float | None]],
) -> list[tuple[str, str, float]]:
    """The pairs of rows that the paper tells apart.

    Args:
        printed: (mean, standard error or None) of each row that is printed, by label.

    Returns:
        (better row, worse row, points between them), the largest difference first. Left out are
        differences of at most their error, the root of the sum of squares of both rows'.
    """
    found = []
    for one, other in itertools.combinations(printed, 2):
        (mean, error), (other_mean, other_error) = printed[one], printed[other]
        error = math.hypot(error or 0.0, other_error or 0.0)
        # Both are printed with one decimal.
        points = round(abs(mean - other_mean), 6)
        if points > error:
            better, worse = (one, other) if mean > other_mean else (other, one)
            found.append((better, worse, points))
    return sorted(found, key=lambda ordering: -ordering[2])


def verdicts(
    printed: Mapping[str, tuple[float, float | None]],
    measured: Mapping[str, Measured],
) -> list[tuple[str, str, float, Difference, str]]:
    """What is true here of each ordering of the paper, as far as both rows were measured.

    Args:
        printed: see `orderings`.
        measured: what was measured of each row, by label.

    Returns:
        (better row, worse row, points in print, difference here, verdict).
    """
    found = []
    for better, worse, points in orderings(printed):
        if better not in measured or worse not in measured:
            continue
        own = difference(measured[better], measured[worse])
        if own is not None:
            found.append((better, worse, points, own, verdict(points, own)))
    return found


def counts(results: Sequence[tuple[str, str, float, Difference, str]]) -> str:
    """How many orderings hold, for a person."""
    numbers = [sum(result[-1] == word for result in results) for word in (HOLDS, REVERSED)]
    rest = len(results) - sum(numbers)
    return f"{numbers[0]} hold, {numbers[1]} are reversed, {rest} are undecided"
