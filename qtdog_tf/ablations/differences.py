"""Paired differences between rows, and what they say of an ordering that the paper prints."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence

from qtdog_tf.statistics import Pair, paired_differences, paired_error

HOLDS, REVERSED, UNDECIDED = "holds", "reversed", "undecided"


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
    measured: Mapping[str, Mapping[Pair, float]],
) -> list[tuple[str, str, float, Difference, str]]:
    """What is true here of each ordering of the paper, as far as both rows were measured.

    Args:
        printed: see `orderings`.
        measured: accuracies by target and trial, by label.

    Returns:
        (better row, worse row, points in print, difference here, verdict).
    """
    found = []
    for better, worse, points in orderings(printed):
        own = paired(measured.get(better, {}), measured.get(worse, {}))
        if own is not None:
            found.append((better, worse, points, own, verdict(points, own)))
    return found


def counts(results: Sequence[tuple[str, str, float, Difference, str]]) -> str:
    """How many orderings hold, for a person."""
    numbers = [sum(result[-1] == word for result in results) for word in (HOLDS, REVERSED)]
    rest = len(results) - sum(numbers)
    return f"{numbers[0]} hold, {numbers[1]} are reversed, {rest} are undecided"
