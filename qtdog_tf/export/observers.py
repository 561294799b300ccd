"""Observers: which range of values an activation gets, from what calibration saw of it.

A range becomes 256 codes. A wide one clips nothing and rounds coarsely; a narrow one the reverse.

Start with `make_observer`.
"""

from typing import Protocol

import numpy as np

MIN_MAX, MOVING_AVERAGE, PERCENTILE = "minmax", "moving_average", "percentile"
OBSERVERS = (MIN_MAX, MOVING_AVERAGE, PERCENTILE)

# Of the mean over batches: each batch moves it by a tenth, as TFMOT's moving average quantizer.
_MOMENTUM = 0.9


class Observer(Protocol):
    """Watches one activation."""

    def update(self, values: np.ndarray) -> None:
        """Takes in the activation of one batch, float32 of any shape."""

    def range(self) -> tuple[float, float]:
        """Lowest and highest value to represent; defined after the first batch."""


class MinMax:
    """The lowest and the highest value ever seen."""

    def __init__(self) -> None:
        self._low, self._high = np.inf, -np.inf

    def update(self, values: np.ndarray) -> None:
        """Takes in a batch."""
        self._low = min(self._low, float(values.min()))
        self._high = max(self._high, float(values.max()))

    def range(self) -> tuple[float, float]:
        """The extremes."""
        return self._low, self._high


class MovingAverage:
    """The moving average of each batch's lowest and highest value."""

    def __init__(self) -> None:
        self._range: np.ndarray | None = None

    def update(self, values: np.ndarray) -> None:
        """Takes in a batch."""
        batch = np.array([values.min(), values.max()], np.float64)
        if self._range is None:
            self._range = batch
        self._range = _MOMENTUM * self._range + (1 - _MOMENTUM) * batch

    def range(self) -> tuple[float, float]:
        """The averages."""
        assert self._range is not None
        return float(self._range[0]), float(self._range[1])


class Percentile:
    """The mean over batches of the values that a given share of a batch lies between.

    Args:
        percent: of the values that lie below the upper end, and above the lower end.
    """

    def __init__(self, percent: float) -> None:
        self._percent = percent
        self._ranges: list[np.ndarray] = []

    def update(self, values: np.ndarray) -> None:
        """Takes in a batch."""
        self._ranges.append(np.percentile(values, [100 - self._percent, self._percent]))

    def range(self) -> tuple[float, float]:
        """The means."""
        low, high = np.mean(self._ranges, axis=0)
        return float(low), float(high)


def make_observer(name: str, percent: float = 99.99) -> Observer:
    """A new observer.

    Args:
        name: one of `OBSERVERS`.
        percent: of the percentile observer, above 50 and at most 100.

    Raises:
        ValueError: for another name, or a percentage out of range.
    """
    if name == PERCENTILE:
        if not 50 < percent <= 100:
            raise ValueError(f"percent must be above 50 and at most 100, received {percent}")
        return Percentile(percent)
    if name not in OBSERVERS:
        raise ValueError(f"observer must be one of {OBSERVERS}, received {name!r}")
    return MinMax() if name == MIN_MAX else MovingAverage()
