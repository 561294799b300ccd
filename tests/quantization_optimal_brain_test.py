"""Optimal brain quantization against the formulas as they stand, row by row, weight by weight."""

import numpy as np
import pytest

from qtdog_tf.quantization import optimal_brain
from qtdog_tf.quantization.lsq import CodeRange
from qtdog_tf.quantization.optimal_brain import inverse_hessian, quantize_rows
from qtdog_tf.quantization.round_to_nearest import best_step_size, round_to_codes


def by_definition(weights, hessian, step_size, code_range):
    """One row; H of the weights that are still free is inverted anew each time."""
    weights, free, codes = weights.copy(), list(range(len(weights))), np.zeros(len(weights), int)
    while free:
        inverse = np.linalg.inv(hessian[np.ix_(free, free)])
        rounded = np.clip(np.rint(weights / step_size), code_range.q_min, code_range.q_max)
        loss = (weights - step_size * rounded)[free]
        if np.abs(loss).max() > step_size / 2 * (1 + 1e-9):
            p = int(np.abs(loss).argmax())
        else:
            p = int((loss**2 / np.diag(inverse)).argmin())
        place = free[p]
        codes[place] = rounded[place]
        weights[free] -= inverse[:, p] * loss[p] / inverse[p, p]
        del free[p]
    return codes


def make_layer(size, rows, samples=200, seed=0):
    """Weights, and correlated inputs [samples, size]."""
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(samples, size)) @ generator.normal(size=(size, size))
    return generator.normal(size=(rows, size)), inputs


@pytest.mark.parametrize(("size", "bits"), [(1, 4), (7, 2), (40, 3), (70, 7)])
@pytest.mark.parametrize("block", [1, 5, 32])
def test_equals_the_definition(monkeypatch, size, bits, block):
    monkeypatch.setattr(optimal_brain, "BLOCK", block)
    rows, inputs = make_layer(size, 3)
    code_range, hessian = CodeRange(bits), 2 * inputs.T @ inputs
    step_size = best_step_size(rows, code_range)
    damped = hessian / np.diag(hessian).mean() + 0.01 * np.eye(size)
    expected = [
        by_definition(row, damped, step, code_range)
        for row, step in zip(rows, step_size, strict=True)
    ]
    codes = quantize_rows(rows, inverse_hessian(hessian, 0.01), step_size, code_range)
    np.testing.assert_array_equal(codes, expected)


def test_a_worked_example():
    """H = [[2, 1], [1, 2]], so H^-1 = [[2, -1], [-1, 2]] / 3; s = 1.

    w = (0.4, 1.3): the second loses 0.3 and goes first, to 1. The first makes up for it by
    -H^-1[0, 1] * 0.3 / H^-1[1, 1] = +0.15 and becomes 0.55, so 1 and not 0.
    """
    inverse = np.array([[2.0, -1], [-1, 2]]) / 3
    codes = quantize_rows(np.array([[0.4, 1.3]]), inverse, np.ones(1), CodeRange(4))
    np.testing.assert_array_equal(codes, [[1, 1]])


def test_an_outlier_goes_first():
    """w = (0.4, 0.9), codes up to 1 at s = 0.5: 0.9 is 0.4 beyond the end, and goes first.

    The other becomes 0.4 + 0.4 / 2 = 0.6, so 1; else 0.4 would have gone first, for 0.1, also to 1,
    and pushed 0.9 to 0.85. With the signs of H the other way the outlier makes it 0.2, so 0.
    """
    narrow = CodeRange(2)
    rows = np.array([[0.4, 0.9]])
    for sign, expected in ((1, [[1, 1]]), (-1, [[0, 1]])):
        inverse = np.array([[2.0, -sign], [-sign, 2]]) / 3
        codes = quantize_rows(rows, inverse, np.full(1, 0.5), narrow)
        np.testing.assert_array_equal(codes, expected)


def test_independent_inputs_leave_it_at_rounding():
    rows, _ = make_layer(20, 4)
    step_size = best_step_size(rows, CodeRange(3))
    inverse = inverse_hessian(np.diag(np.arange(1.0, 21)), 0.01)
    codes = quantize_rows(rows, inverse, step_size, CodeRange(3))
    np.testing.assert_array_equal(codes, round_to_codes(rows, step_size[:, None], CodeRange(3)))


@pytest.mark.parametrize("bits", [2, 3, 5])
def test_the_output_changes_less_than_by_rounding(bits):
    rows, inputs = make_layer(48, 12)
    code_range = CodeRange(bits)
    step_size = best_step_size(rows, code_range)[:, None]
    codes = quantize_rows(
        rows, inverse_hessian(inputs.T @ inputs, 0.01), step_size[:, 0], code_range
    )
    assert codes.min() >= code_range.q_min and codes.max() <= code_range.q_max

    def output_error(codes):
        return np.sum(((rows - step_size * codes) @ inputs.T) ** 2)

    # Measured: 0.13 to 0.42 of it.
    assert output_error(codes) < 0.6 * output_error(round_to_codes(rows, step_size, code_range))


def test_inputs_that_are_always_zero_and_the_scale_of_the_inputs_do_no_harm():
    rows, inputs = make_layer(10, 3)
    inputs[:, 4] = 0
    step_size = best_step_size(rows, CodeRange(4))
    codes = [
        quantize_rows(rows, inverse_hessian(h, 0.01), step_size, CodeRange(4))
        for h in (inputs.T @ inputs, 4.0 * inputs.T @ inputs, np.zeros((10, 10)))
    ]
    np.testing.assert_array_equal(codes[0], codes[1])
    nearest = round_to_codes(rows, step_size[:, None], CodeRange(4))
    np.testing.assert_array_equal(codes[0][:, 4], nearest[:, 4])
    np.testing.assert_array_equal(codes[2], nearest)


def test_rows_that_do_not_fit_into_memory_together_go_in_turn(monkeypatch):
    rows, inputs = make_layer(12, 5)
    step_size, inverse = best_step_size(rows, CodeRange(4)), inverse_hessian(inputs.T @ inputs, 0.1)
    together = quantize_rows(rows, inverse, step_size, CodeRange(4))
    monkeypatch.setattr(optimal_brain, "_MEMORY", 2 * inverse.nbytes)
    seen: list[int] = []
    np.testing.assert_array_equal(
        quantize_rows(rows, inverse, step_size, CodeRange(4), seen.append), together
    )
    assert seen == [2, 2, 1]
