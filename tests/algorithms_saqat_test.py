"""Gradient disorder by hand, what it freezes, and that it goes on from a checkpoint."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from qtdog_tf.algorithms.gradient_disorder import no_disorder, take_in
from qtdog_tf.algorithms.sagm import SAGM
from qtdog_tf.algorithms.saqat import SAQAT
from qtdog_tf.quantization.quantizer import is_step_size
from qtdog_tf.quantization.start import start_quantization
from qtdog_tf.training.state import capture_state, restore_state
from tests.algorithms_models import STEPS, assert_same_state, build, determinism, fit

__all__ = ["determinism"]  # a fixture


def masks_after(script, **settings):
    """The mask after each step of a script of gradients, as text: "x" for frozen."""
    state = no_disorder(len(script[0]))
    found = []
    for gradients in script:
        state = take_in(state, tf.constant(gradients, tf.float32), **settings)
        found.append("".join("x" if one else "." for one in state.frozen.numpy()))
    return found, state


# Of three gradients: one that never turns, one that turns once in a window, one that always does.
# Disorder in windows of 3: 0, 1/2, 1. In the second window they have changed places.
SCRIPT = [[1, 2, 1], [3, 1, -1], [2, -1, 1], [-1, -1, 1], [1, -2, 1], [-1, 3, 1], [1, 1, 1]]


def test_disorder_by_hand():
    def masks(threshold, **settings):
        return masks_after(SCRIPT, window=3, threshold=threshold, **settings)[0]

    assert masks(0.3) == ["...", "...", "x..", "x..", "x..", "..x", "..x"]
    # Half is not below half.
    assert masks(0.5) == masks(0.3)
    assert masks(0.51) == ["...", "...", "xx.", "xx.", "xx.", ".xx", ".xx"]
    assert masks(0.0) == ["..."] * 7
    assert masks(0.3, permanent=True)[2:] == ["x..", "x..", "x..", "x.x", "x.x"]
    assert masks(0.51, permanent=True)[5:] == ["xxx", "xxx"]


def test_the_last_of_a_window_and_the_first_of_the_next_are_no_pair():
    # + - | + - | + -: with those pairs there would be more flips than 1 a window.
    found, state = masks_after([[1], [-1]] * 3, window=2, threshold=1.0)
    assert found == ["."] * 6
    found, state = masks_after([[1], [1], [-1], [-1]], window=2, threshold=1.0)
    assert found == [".", "x", "x", "x"]
    assert int(state.seen) == 0 and int(state.flips[0]) == 0 and float(state.signs[0]) == -1


def test_zero_is_a_sign_of_its_own():
    _, state = masks_after([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0]], window=9, threshold=0.3)
    assert state.flips.numpy().tolist() == [0, 1, 1]


def test_a_step_that_overflowed_does_not_count():
    script = [[1.0, 1.0], [1.0, np.inf], [1.0, -1.0], [np.nan, 1.0], [-1.0, 1.0]]
    found, state = masks_after(script, window=3, threshold=0.6)
    assert found == [".."] * 4 + ["x."]
    assert int(state.seen) == 0


@settings(max_examples=40)
@given(
    st.lists(st.lists(st.integers(-2, 2), min_size=3, max_size=3), min_size=1, max_size=12),
    st.integers(2, 5),
    st.floats(0, 1, width=32),
    st.booleans(),
)
def test_disorder_against_its_definition(script, window, threshold, permanent):
    signs, frozen = np.sign(np.array(script)), np.zeros(3, bool)
    for end in range(window, len(script) + 1, window):
        part = signs[end - window : end]
        now = np.mean(part[1:] != part[:-1], axis=0).astype("float32") < threshold
        frozen = now | (permanent & frozen)
    _, state = masks_after(script, window=window, threshold=threshold, permanent=permanent)
    np.testing.assert_array_equal(state.frozen.numpy(), frozen)


def trained(algorithm, stops):
    """The model and its states after a step of float training, and after more with codes."""
    # In graphs it is tested with all the others, in algorithms_fit_test.
    model = build(algorithm, run_eagerly=True)
    fit(model, 0, 1)
    assert not any(variable.numpy().any() for variable in algorithm.variables)
    start_quantization(model)
    states = []
    for start, stop in zip([1, *stops], stops, strict=False):
        fit(model, start, stop)
        states.append(capture_state(model))
    return model, states


def without_algorithm(state):
    return {name: value for name, value in state.items() if not name.startswith("algorithm/")}


def test_it_is_sagm_until_a_window_is_full_and_goes_on_from_a_checkpoint():
    _, sagm = trained(SAGM(), [3, STEPS])
    endless, states = trained(SAQAT(window=10**6), [STEPS])
    assert_same_state(without_algorithm(states[0]), sagm[1])
    assert endless.algorithm.scalars == {"frozen": 0.0}
    assert int(endless.algorithm.variables[0].numpy()) == 3

    # Two quantized steps decide, the third is the first that it matters to.
    model, states = trained(SAQAT(window=2, threshold=1.0), [2, 3, STEPS])
    assert_same_state(without_algorithm(states[1]), sagm[0])
    assert 0 < model.algorithm.scalars["frozen"] < 1
    for index, variable in enumerate(model.variables):
        name = f"model/{index:04d}"
        same = np.array_equal(states[2][name], sagm[1][name])
        assert same != is_step_size(variable), variable.path
    # From the middle of a window, and from behind it.
    for start, state in ((2, states[0]), (3, states[1])):
        restore_state(model, state)
        fit(model, start, STEPS)
        assert_same_state(capture_state(model), states[2])


@pytest.mark.parametrize("mode", ["frozen", "off"])
def test_without_step_sizes_that_learn_it_is_sagm(mode):
    pair = []
    for algorithm in (SAGM(), SAQAT(window=2, threshold=1.0)):
        model = build(algorithm, run_eagerly=True)
        start_quantization(model, mode)
        fit(model, 0, 1)
        pair.append(without_algorithm(capture_state(model)))
        assert not any(variable.numpy().any() for variable in algorithm.variables)
    assert_same_state(*pair)
