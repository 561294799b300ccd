"""Times things in turn, so that a machine whose speed drifts slows them all.

Start from `time_in_turn`, then `summarize`.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

import numpy as np

Key = TypeVar("Key", bound=Hashable)


@dataclasses.dataclass(frozen=True)
class Spread:
    """A median with what it stands for.

    Attributes:
        median: half of the rounds lie below it.
        low, high: the 25 % and 75 % quantiles, between which half of the rounds lie.
    """

    median: float
    low: float
    high: float


def summarize(values: list[float]) -> Spread:
    """The median and the quartiles of values, one a round."""
    low, high = np.quantile(values, [0.25, 0.75])
    return Spread(statistics.median(values), float(low), float(high))


def time_in_turn(
    calls: Mapping[Key, Callable[[], object]],
    *,
    rounds: int,
    seconds: float,
    warm_up: float,
    seed: int,
    progress: Callable[[], object] = lambda: None,
) -> dict[Key, list[float]]:
    """Times every call once a round, in an order that is random anew in each round.

    Args:
        calls: what to time, by name.
        rounds: how often.
        seconds: how long to repeat a call in a round; at least one call is made.
        warm_up: how long to repeat it before the first round, for caches, clocks and thread pools.
        seed: chooses the orders.
        progress: called after each warm-up and each measurement: (rounds + 1) * len(calls) times.

    Returns:
        Seconds a call, one value a round, by name.
    """
    for call in calls.values():
        repeat(call, warm_up)
        progress()
    names = list(calls)
    times: dict[Key, list[float]] = {name: [] for name in names}
    random = np.random.default_rng(seed)
    for _ in range(rounds):
        for place in random.permutation(len(names)):
            name = names[place]
            times[name].append(repeat(calls[name], seconds))
            progress()
    return times


def repeat(call: Callable[[], object], seconds: float) -> float:
    """Repeats a call for some time; returns the mean seconds a call."""
    began = time.perf_counter()
    count, passed = 0, 0.0
    while not count or passed < seconds:
        call()
        count += 1
        passed = time.perf_counter() - began
    return passed / count
