"""SWAD's schedule on the scripted losses of the method, in exact fractions."""

import math
from collections.abc import Iterable
from fractions import Fraction

import numpy as np
import pytest

from qtdog_tf.averaging.loss_valley import LossValley
from qtdog_tf.averaging.segments import Segment
from tests.loss_valleys import one_hot, segments, weights

STAYS = [3, 1, 0.8, 0.7, 0.6, 0.5, 0.55, 0.6, 0.62, 0.64, 0.66, 0.68, 0.70]
DIES = [3, 1, 0.8, 0.7, 0.6, 0.5, 0.55, 0.6, 0.9, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7]
EARLY = [0.5, 0.6, 0.7, 0.72, 0.74, 0.76, 0.78]
LATE = [3, 2.5, 2, 1.5, 0.5, 0.6, 0.7, 0.72, 0.74, 0.76, 0.78]


def run(losses: Iterable[float], **settings: object) -> LossValley:
    valley = LossValley(**settings)  # type: ignore[arg-type]
    for segment in segments(losses):
        valley.add(segment)
    return valley


def uniform(indices: Iterable[int]) -> dict[int, Fraction]:
    chosen = list(indices)
    return {i: Fraction(1, len(chosen)) for i in chosen}


def parts(total: int, **counts: int) -> dict[int, Fraction]:
    return {int(name[1:]): Fraction(count, total) for name, count in counts.items()}


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        (STAYS, parts(10, s4=1, s5=2, s6=1, s7=1, s8=1, s9=1, s10=1, s11=1, s12=1)),
        (DIES, parts(5, s4=1, s5=2, s6=1, s7=1)),
        (EARLY, parts(11, s0=3, s1=2, s2=2, s3=1, s4=1, s5=1, s6=1)),
        (LATE, uniform(range(4, 11))),
    ],
)
def test_released_code(losses: list[float], expected: dict[int, Fraction]) -> None:
    assert weights(run(losses, mode="code")) == expected


@pytest.mark.parametrize(
    ("losses", "expected"),
    [(STAYS, range(5, 13)), (DIES, range(5, 8)), (EARLY, range(7)), (LATE, range(4, 11))],
)
def test_paper_takes_each_segment_once(losses: list[float], expected: range) -> None:
    assert weights(run(losses)) == uniform(expected)


@pytest.mark.parametrize("mode", ["paper", "code"])
def test_the_valley_dies_at_evaluation_13_and_stays_dead(mode: str) -> None:
    valley = LossValley(mode=mode)
    for index, segment in enumerate(segments([*DIES, 0.1, 0.1])):
        valley.add(segment)
        assert valley.dead == (index >= 13)
        if index == 13:
            before = weights(valley)
    assert weights(valley) == before


@pytest.mark.parametrize("mode", ["paper", "code"])
def test_a_run_that_does_not_converge_gives_its_last_segment(mode: str) -> None:
    valley = LossValley(mode=mode)
    for index, segment in enumerate(segments([5, 4, 3, 2, 1])):
        valley.add(segment)
        assert weights(valley) == {index: 1}


def test_only_the_released_code_leaves_out_a_bad_end() -> None:
    losses = [*STAYS, 0.72, 0.74]
    assert max(weights(run(losses, mode="code"))) == 12
    assert weights(run(losses)) == uniform(range(5, 15))


def test_the_released_code_that_ends_right_after_convergence() -> None:
    # The oldest of six is dropped though it was never merged, and what is left is merged again.
    valley = run(STAYS[:8], mode="code")
    assert weights(valley) == parts(7, s3=1, s4=2, s5=2, s6=1, s7=1)


@pytest.mark.parametrize(("converge", "tolerance"), [(4, 2), (3, 3)])
def test_the_released_code_with_little_tolerance_loses_the_segment_of_convergence(
    converge: int, tolerance: int
) -> None:
    losses = [1, 1.1, 1.1, 1.1, 1.1, 1.1]
    assert weights(run(losses, mode="code", converge=converge, tolerance=tolerance)) == uniform(
        range(1, 6)
    )
    assert weights(run(losses, converge=converge, tolerance=tolerance)) == uniform(range(6))


def test_the_first_of_equal_losses_is_the_least() -> None:
    assert weights(run([2, 1, 1, 1])) == uniform([1, 2, 3])
    assert weights(run([2, 1, 1, 0.9])) == {3: 1}


def test_a_loss_that_is_not_a_number_is_a_high_one() -> None:
    assert weights(run([2, 1, math.nan, 0.5, 0.6, 0.7])) == uniform([3, 4, 5])


def test_final_changes_no_array() -> None:
    valley = LossValley()
    kept = []
    for i, loss in enumerate(STAYS):
        values = [np.full(3, i, "float32"), np.array(i, "float32")]
        kept.append([v.copy() for v in values])
        valley.add(Segment(i, loss, values))
        for value in valley.final():
            assert isinstance(value, np.ndarray) and value.dtype == "float32"
        for segment in valley._recent:
            for ours, theirs in zip(segment.values, kept[segment.end], strict=True):
                np.testing.assert_array_equal(ours, theirs)


def test_bad_values_are_named() -> None:
    with pytest.raises(ValueError, match="converge must be 1 or more evaluations, received 0"):
        LossValley(converge=0)
    with pytest.raises(ValueError, match="tolerance must be 1 or more evaluations, received -1"):
        LossValley(tolerance=-1)
    for ratio in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match=f"ratio must be a number of 0 or more, .*{ratio}"):
            LossValley(ratio=ratio)
    with pytest.raises(ValueError, match="mode must be one of .* received 'book'"):
        LossValley(mode="book")
    with pytest.raises(ValueError, match="no segment has been closed"):
        LossValley().final()
    valley = run([1])
    with pytest.raises(ValueError, match="must end after step 0, received 0"):
        valley.add(Segment(0, 1.0, one_hot(0)))
