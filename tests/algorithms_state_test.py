"""What a step does to all that is no weight: statistics, seeds, moments, metrics."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from qtdog_tf.algorithms import ALGORITHMS, AlgorithmSettings, build_algorithm
from qtdog_tf.algorithms.fish import Fish
from qtdog_tf.algorithms.passes import forward_state
from qtdog_tf.quantization.start import start_quantization
from qtdog_tf.training.state import unwrap_optimizer
from tests import algorithms_models as models
from tests.algorithms_models import DOMAINS, PER_DOMAIN, build, determinism, fit, small_classifier

__all__ = ["determinism"]  # a fixture

OF_SEVERAL_PASSES = ("sam", "sagm", "saqat", "mldg", "fish", "sagnet")


def values(variables):
    return [np.array(variable.numpy()) for variable in variables]


def seeds_and_uses(model):
    """The counters of the random number generators."""
    return [v.numpy() for v in forward_state(model) if not keras.backend.is_float_dtype(v.dtype)]


@pytest.mark.parametrize("name", ["erm", *OF_SEVERAL_PASSES])
def test_random_numbers_go_on_by_one_pass_a_step(name):
    model = build(build_algorithm(AlgorithmSettings(algorithm=name)), run_eagerly=True)
    fit(model, 0, 2)
    once = small_classifier()
    for step in range(2):
        once(models.IMAGES[step], training=True)
    ours, theirs = seeds_and_uses(model), seeds_and_uses(once)
    assert ours and len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["sam", "sagm", "saqat", "sagnet"])
def test_statistics_are_those_of_one_pass_over_the_batch(name):
    """That at the weights themselves, not at those that the method looks at elsewhere."""
    model = build(build_algorithm(AlgorithmSettings(algorithm=name)), run_eagerly=True)
    before = model.get_weights()
    fit(model, 0, 1)
    other = build(build_algorithm(AlgorithmSettings()))
    other.set_weights(before)
    other(models.IMAGES[0], training=True)
    mine, theirs = (m.get_layer("norm") for m in (model, other))
    assert not np.array_equal(mine.moving_mean.numpy(), np.zeros(4))
    np.testing.assert_allclose(mine.moving_mean, theirs.moving_mean, rtol=1e-5)
    np.testing.assert_allclose(mine.moving_variance, theirs.moving_variance, rtol=1e-5)


def test_statistics_under_mldg_are_those_of_one_training_domain():
    algorithm = build_algorithm(AlgorithmSettings(algorithm="mldg"))
    model = build(algorithm, run_eagerly=True)
    before = model.get_weights()
    first = int(algorithm.draw(tf.constant(0, tf.int64))[0])
    fit(model, 0, 1)
    other = build(build_algorithm(AlgorithmSettings()))
    other.set_weights(before)
    other(models.IMAGES[0][PER_DOMAIN * first :][:PER_DOMAIN], training=True)
    mine, theirs = (m.get_layer("norm") for m in (model, other))
    np.testing.assert_allclose(mine.moving_mean, theirs.moving_mean, rtol=1e-5)


def test_statistics_under_fish_move_as_its_weights_do():
    """DomainBed's rule on all that a network holds: w + meta_lr (w' - w)."""
    model, inner = (
        build(Fish(meta_lr=0.25), run_eagerly=True),
        build(build_algorithm(AlgorithmSettings())),
    )
    inner.set_weights(model.get_weights())
    norm, copy = model.get_layer("norm"), inner.get_layer("norm")
    start = values([norm.moving_mean, norm.moving_variance])
    images = models.IMAGES[0].reshape(DOMAINS, PER_DOMAIN, *models.IMAGES.shape[2:])
    labels = models.LABELS[0].reshape(DOMAINS, PER_DOMAIN)
    seeds = [v for v in forward_state(inner) if not keras.backend.is_float_dtype(v.dtype)]
    drawn = values(seeds)
    optimizer = unwrap_optimizer(inner).optimizer
    for domain in range(DOMAINS):
        for variable, value in zip(seeds, drawn, strict=True):
            variable.assign(value)
        with tf.GradientTape() as tape:
            logits = inner(images[domain], training=True)
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels[domain], logits)
            )
        weights = optimizer._trainable_variables
        optimizer.apply(tape.gradient(loss, [w.value for w in weights]), weights)
    expected = [
        a + 0.25 * (b - a)
        for a, b in zip(start, values([copy.moving_mean, copy.moving_variance]), strict=True)
    ]
    fit(model, 0, 1)
    ours = values([norm.moving_mean, norm.moving_variance])
    for one, other, first in zip(ours, expected, start, strict=True):
        assert np.abs(other - first).max() > 5e-5
        np.testing.assert_allclose(one - first, other - first, rtol=1e-2, atol=1e-7)


@pytest.mark.parametrize("name", ["irm", "vrex", "fishr"])
def test_methods_whose_penalty_jumps_begin_with_new_moments_there(name):
    settings = AlgorithmSettings(algorithm=name, **{f"{name}_anneal_steps": 2})
    model = build(build_algorithm(settings))
    start_quantization(model)
    optimizer = unwrap_optimizer(model)
    inner = [optimizer.optimizer, optimizer.step_size_optimizer]
    counts = []
    for step in range(4):
        fit(model, step, step + 1)
        counts.append([int(one.iterations.numpy()) for one in inner])
    assert counts == [[1, 1], [2, 2], [1, 1], [2, 2]]
    assert int(optimizer.iterations.numpy()) == 4


@pytest.mark.parametrize("name", ["erm", *OF_SEVERAL_PASSES])
def test_a_step_counts_once_in_the_metrics(name):
    model = build(build_algorithm(AlgorithmSettings(algorithm=name)), run_eagerly=True)
    fit(model, 0, 1)
    (accuracy,) = [m for m in model.metrics if m.name != "loss" for m in getattr(m, "metrics", [m])]
    seen = DOMAINS * PER_DOMAIN
    # MLDG measures what it trains on, which leaves two of three domains out.
    assert int(accuracy.count.numpy()) == (PER_DOMAIN if name == "mldg" else seen)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_graph_and_eager_take_the_same_steps(name):
    """Tests by hand run eagerly, and training does not."""
    teacher = {"teacher": "a run"} if name == "distill" else {}
    anneal = {f"{name}_anneal_steps": 2} if name in ("irm", "vrex", "fishr") else {}
    settings = AlgorithmSettings(algorithm=name, **teacher, **anneal)
    found = []
    for eagerly in (False, True):
        algorithm = build_algorithm(settings, 5, small_classifier() if teacher else None)
        model = build(algorithm, run_eagerly=eagerly)
        start_quantization(model)
        before = values(model.trainable_variables)
        fit(model, 0, 3)
        found.append(values([*model.variables, *model.metrics_variables]))
        after = values(model.trainable_variables)
        assert all(np.abs(a - b).max() > 1e-4 for a, b in zip(after, before, strict=True))
    for graph, eager in zip(*found, strict=True):
        np.testing.assert_allclose(graph, eager, rtol=1e-3, atol=2e-4)
