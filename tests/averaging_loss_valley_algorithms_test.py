"""SWAD's schedule on any losses, against the two algorithms as they are written down."""

import json
import math
from collections import Counter, deque
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qtdog_tf.averaging.base import AverageState
from qtdog_tf.averaging.loss_valley import LossValley
from tests.loss_valleys import segments, weights


def algorithm_of_the_paper(
    losses: list[float], converge: int, tolerance: int, ratio: float
) -> list[int]:
    """Which segments count, by the paper's pseudo code, from all losses at once."""
    for first in range(len(losses) - converge + 1):
        window = losses[first : first + converge]
        if window[0] == min(window):
            threshold = float(np.mean(window)) * (1 + ratio)
            for i in range(first + converge, len(losses)):
                if i >= tolerance - 1 and min(losses[i - tolerance + 1 : i + 1]) > threshold:
                    return list(range(first, i - tolerance + 1))
            return list(range(first, len(losses)))
    return [len(losses) - 1]


def algorithm_of_the_code(
    losses: list[float], converge: int, tolerance: int, ratio: float
) -> list[int]:
    """Which segments count and how often, by the rules of the method for the released code."""
    first_queue: deque[int] = deque(maxlen=converge)
    second_queue: deque[int] = deque(maxlen=tolerance)
    merged: list[int] = []
    converged = None
    threshold = math.nan
    for index in range(len(losses)):
        first_queue.append(index)
        second_queue.append(index)
        if converged is None:
            window = [losses[i] for i in first_queue]
            if len(window) == converge and int(np.argmin(window)) == 0:
                converged, threshold = first_queue[0], float(np.mean(window)) * (1 + ratio)
                if tolerance < converge:
                    merged += list(first_queue)[1 : converge - tolerance + 1]
                elif tolerance > converge:
                    oldest = list(second_queue)[: tolerance - converge + 1]
                    start = 0
                    for j in reversed(range(len(oldest))):
                        if losses[oldest[j]] > threshold:
                            start = j + 1
                            break
                    merged += oldest[start + 1 :]
        elif second_queue[0] >= converged:
            if min(losses[i] for i in second_queue) > threshold:
                return merged or [converged]
            merged.append(second_queue[0])
    if converged is None:
        return [len(losses) - 1]
    second_queue.popleft()
    while second_queue and min(losses[i] for i in second_queue) <= threshold:
        merged.append(second_queue.popleft())
    return merged or [converged]


@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=20),
    st.integers(1, 5),
    st.integers(1, 7),
    st.sampled_from([0.0, 0.2, 0.3, 1.0]),
    st.sampled_from(["paper", "code"]),
)
def test_at_every_point_it_is_the_written_algorithm(
    losses: list[float], converge: int, tolerance: int, ratio: float, mode: str
) -> None:
    algorithm = algorithm_of_the_paper if mode == "paper" else algorithm_of_the_code
    valley = LossValley(converge, tolerance, ratio, mode)
    for index, segment in enumerate(segments(losses)):
        valley.add(segment)
        # In the middle too, since an evaluation asks for it there and changes nothing.
        counts = Counter(algorithm(losses[: index + 1], converge, tolerance, ratio))
        assert weights(valley) == {i: Fraction(n, counts.total()) for i, n in counts.items()}


@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=20),
    st.integers(1, 4),
    st.integers(1, 6),
    st.sampled_from(["paper", "code"]),
)
def test_a_state_that_went_through_json_goes_on_alike(
    losses: list[float], converge: int, tolerance: int, mode: str
) -> None:
    whole = LossValley(converge, tolerance, mode=mode)
    resumed = LossValley(converge, tolerance, mode=mode)
    seen: dict[str, list[np.ndarray]] = {}
    for segment in segments(losses):
        whole.add(segment)
        resumed.add(segment)
        assert weights(resumed) == weights(whole)
        state = resumed.capture("a")
        for name, values in state.arrays.items():
            assert all(map(np.array_equal, seen.setdefault(name, values), values))
        assert len(state.arrays) <= max(converge, tolerance) + 1
        resumed = LossValley(converge, tolerance, mode=mode)
        resumed.restore(AverageState(json.loads(json.dumps(state.plain)), state.arrays), "a")
