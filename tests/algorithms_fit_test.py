"""Every algorithm through `fit`, with quantization starting on the way."""

import numpy as np
import pytest

from qtdog_tf.algorithms import ALGORITHMS, AlgorithmSettings, build_algorithm
from qtdog_tf.quantization.quantizer import is_step_size
from qtdog_tf.quantization.start import start_quantization
from qtdog_tf.training.state import capture_state, restore_state
from tests.algorithms_models import (
    STEPS,
    assert_same_state,
    build,
    determinism,
    fit,
    small_classifier,
)

__all__ = ["determinism"]  # a fixture

# Small enough to be reached within the steps of these tests.
ANNEAL = {"fishr_anneal_steps": 1, "irm_anneal_steps": 1, "vrex_anneal_steps": 1}
ANNEAL |= {"saqat_window": 2, "saqat_threshold": 1.0}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_it_trains_quantizes_repeats_and_goes_on_from_a_checkpoint(name):
    teacher = {"teacher": "a run"} if name == "distill" else {}
    settings = AlgorithmSettings(algorithm=name, **ANNEAL, **teacher)
    model = build(build_algorithm(settings, 5, small_classifier() if teacher else None))
    states = [capture_state(model)]
    logs = [fit(model, 0, 2)]
    states.append(capture_state(model))
    restore_state(model, states[0])
    assert fit(model, 0, 2) == logs[0]
    assert_same_state(capture_state(model), states[1])

    start_quantization(model)
    logs.append(fit(model, 2, 3))
    states.append(capture_state(model))
    logs.append(fit(model, 3, 4))
    states.append(capture_state(model))
    restore_state(model, states[2])
    assert fit(model, 3, 4) == logs[2]
    assert_same_state(capture_state(model), states[3])

    assert all(np.isfinite(log["loss"]) and 0 <= log["accuracy"] <= 1 for log in logs)
    assert int(model.optimizer.iterations.numpy()) == STEPS
    for index, variable in enumerate(model.variables):
        first, middle, _, last = (state[f"model/{index:04d}"] for state in states)
        assert not np.array_equal(first, last), variable.path
        if is_step_size(variable):
            assert np.array_equal(first, middle)
            assert (last > 0).all()
    if model.algorithm.variables:
        assert any(not np.array_equal(states[0][k], states[3][k]) for k in states[0] if "algo" in k)
