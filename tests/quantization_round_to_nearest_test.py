"""The step size of round-to-nearest against brute force, in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtdog_tf.quantization.lsq import MIN_STEP_SIZE, CodeRange
from qtdog_tf.quantization.round_to_nearest import best_step_size, round_to_codes


def error(weights: np.ndarray, step_size: float, code_range: CodeRange) -> float:
    codes = np.clip(np.rint(weights / step_size), code_range.q_min, code_range.q_max)
    return float(np.sum((weights - step_size * codes) ** 2))


def brute_force(weights: np.ndarray, code_range: CodeRange) -> float:
    """The least error of 20,000 step sizes; beyond max|w| every code but 0 and +-1 is gone."""
    largest = np.abs(weights).max()
    grid = np.geomspace(largest / (20 * code_range.q_max), 2 * largest, 20_000)
    codes = np.clip(np.rint(weights[:, None] / grid), code_range.q_min, code_range.q_max)
    return float(np.min(np.sum((weights[:, None] - grid * codes) ** 2, axis=0)))


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 7, 8])
@pytest.mark.parametrize("heavy_tails", [False, True])
def test_no_step_size_of_a_fine_grid_is_better(bits: int, heavy_tails: bool) -> None:
    generator = np.random.default_rng(bits)
    code_range = CodeRange(bits)
    for size in (1, 2, 9, 25, 100):
        weights = generator.normal(size=size)
        weights = weights**3 if heavy_tails else weights
        (found,) = best_step_size(weights[None], code_range)
        ours, grid = error(weights, found, code_range), brute_force(weights, code_range)
        assert ours <= grid * (1 + 1e-12) + 1e-15, size
        # And what the grid misses is little, so that both look for the same.
        assert ours >= 0.8 * grid - 1e-6 * float(np.sum(weights**2)), size


@given(
    st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=12),
    st.integers(2, 8),
    st.floats(1e-3, 20),
)
@settings(max_examples=300)
def test_no_other_step_size_is_better(weights: list[float], bits: int, other: float) -> None:
    code_range = CodeRange(bits)
    channel = np.array(weights)
    (found,) = best_step_size(channel[None], code_range)
    scale = float(np.sum(channel**2))
    assert error(channel, found, code_range) <= error(channel, other, code_range) + 1e-9 * scale


def test_weights_on_a_lattice_are_found_with_it() -> None:
    codes = np.array([[-4.0, 3, 0, 1], [3, 3, -1, -3]])
    found = best_step_size(codes * [[0.25], [0.75]], CodeRange(3))
    # The second channel is a lattice of 0.75; a coarser one would not hold 1 and 3.
    np.testing.assert_allclose(found, [0.25, 0.75], rtol=1e-15)
    np.testing.assert_array_equal(round_to_codes(codes * 0.25, 0.25, CodeRange(3)), codes.clip(-4))


def test_a_worked_example() -> None:
    # Codes -2 to 1. Of (1, 2.2) at most code 1 is taken: both at 1 is the best, s = 1.6 and an
    # error of 0.72; the larger alone would lose 1.
    np.testing.assert_allclose(best_step_size(np.array([[1.0, 2.2]]), CodeRange(2)), [1.6])
    # Below zero there is code -2: (-1, -2.2) is (-1, -2), s = (1 + 4.4) / 5.
    np.testing.assert_allclose(best_step_size(np.array([[-1.0, -2.2]]), CodeRange(2)), [1.08])


def test_channels_are_independent_and_zeros_have_the_smallest_step_size() -> None:
    channels = np.random.default_rng(0).normal(size=(5, 7))
    channels[2] = 0
    together = best_step_size(channels, CodeRange(4))
    alone = [best_step_size(channel[None], CodeRange(4))[0] for channel in channels]
    np.testing.assert_array_equal(together, alone)
    assert together[2] == MIN_STEP_SIZE


def test_many_channels_go_through_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    channels = np.random.default_rng(1).normal(size=(9, 6))
    together = best_step_size(channels, CodeRange(5))
    monkeypatch.setattr("qtdog_tf.quantization.round_to_nearest._CHUNK", 200)
    np.testing.assert_array_equal(best_step_size(channels, CodeRange(5)), together)
