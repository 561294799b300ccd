"""Errors of means over runs, and differences of runs that belong together."""

from collections.abc import Mapping, Sequence

import numpy as np

# Target domains, joined by "+", and trial seed: runs of equal pairs share split and batches.
Pair = tuple[str, int]


def standard_error(values: Sequence[float]) -> float:
    """Population standard deviation over the root of the count, as DomainBed reports it."""
    return float(standard_errors(np.asarray(values)))


def standard_errors(values: np.ndarray) -> np.ndarray:
    """`standard_error` of each column.

    Args:
        values: float [n, ...], one row a run.

    Returns:
        float [...].
    """
    return np.std(values, axis=0) / np.sqrt(len(values))


def paired_differences(values: Mapping[Pair, float], reference: Mapping[Pair, float]) -> np.ndarray:
    """Differences of runs of equal target and trial, which have far less noise than their means.

    Args:
        values: accuracies by target and trial.
        reference: of the method to compare with.

    Returns:
        float [pairs].
    """
    return np.array([values[pair] - reference[pair] for pair in values if pair in reference])


def paired_error(differences: np.ndarray) -> float | None:
    """Standard error of a mean of differences, by the sample's deviation; None below two.

    The sample's deviation, over n - 1, is larger than the population's, which DomainBed's tables
    have: by 22 % for three runs.
    """
    if len(differences) < 2:
        return None
    return float(differences.std(ddof=1) / np.sqrt(len(differences)))
