"""Distillation: its loss and gradient against NumPy, and a teacher that nothing changes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from qtdog_tf.algorithms import AlgorithmSettings, build_algorithm
from qtdog_tf.algorithms.distill import Distill, soft_loss
from qtdog_tf.algorithms.erm import ERM
from qtdog_tf.errors import UserError
from qtdog_tf.quantization.annotate import quantize
from qtdog_tf.quantization.start import start_quantization
from tests import algorithms_reference as reference
from tests.algorithms_models import IMAGES, STEPS, build, determinism, fit, small_classifier

__all__ = ["determinism"]  # a fixture


def teacher_of_the_reference():
    """Another network of the same kind."""
    keras.utils.set_random_seed(7)
    image = keras.Input((2, 1, 3))
    x = keras.layers.Dense(4, activation="tanh")(keras.layers.Flatten()(image))
    return keras.Model(image, keras.layers.Dense(3)(x))


@pytest.mark.parametrize(("temperature", "soft_weight"), [(1.0, 1.0), (3.0, 1.0), (2.0, 0.25)])
def test_loss_and_gradient(temperature, soft_weight):
    teacher = teacher_of_the_reference()
    model = reference.build(Distill(teacher, temperature, soft_weight))
    wanted = reference.softmax(reference.run(reference.weights(teacher_of_the_reference()))[1])

    def expected(w):
        logits = reference.run(w)[1]
        p = wanted ** (1 / temperature)
        p /= p.sum(1, keepdims=True)
        q = reference.softmax(logits / temperature)
        soft = temperature**2 * (p * np.log(p / q)).sum(1).mean()
        return soft_weight * soft + (1 - soft_weight) * reference.entropy(logits).mean()

    result = model.algorithm.gradients(model, reference.batch())
    w = reference.weights(model)
    assert float(result.outcome.loss) == pytest.approx(expected(w), rel=1e-5)
    reference.assert_close(result.gradients, reference.gradient(expected, w))


def test_soft_loss_by_hand():
    # The teacher says 3/4 and 1/4, the student 1/2 and 1/2.
    wanted, logits = tf.math.log([[3.0, 1.0]]), tf.zeros([1, 2])
    divergence = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    assert float(soft_loss(wanted, logits, 1.0)) == pytest.approx(divergence, rel=1e-6)
    # At T the logits are divided, and the square of T stands before it.
    again = soft_loss(4.0 * wanted, logits, 4.0)
    assert float(again) == pytest.approx(16 * divergence, rel=1e-6)
    assert float(soft_loss(wanted, wanted + 5.0, 2.0)) == pytest.approx(0, abs=1e-6)


def test_before_its_start_the_labels_alone_count():
    algorithm = Distill(teacher_of_the_reference(), start=3)
    model = reference.build(algorithm)
    losses = [float(algorithm.loss(model, reference.batch(step)).loss) for step in (0, 2, 3)]
    w = reference.weights(model)
    assert losses[:2] == [pytest.approx(reference.mean_loss(w), rel=1e-5)] * 2
    wanted = teacher_of_the_reference()(np.float32(reference.IMAGES))
    soft = soft_loss(wanted, np.float32(reference.run(w)[1]), 2.0)
    assert losses[2] == pytest.approx(float(soft), rel=1e-4)


def test_the_teacher_stays_as_it_was_and_answers_as_in_inference():
    """It has BatchNorm that would learn its statistics, dropout, and quantized layers."""
    teacher = quantize(small_classifier(dropout=0.5), bits=3)
    start_quantization(teacher)
    variables = [*teacher.variables, *(g.state for g in teacher.layers[-2]._seed_generators)]
    before = [variable.numpy() for variable in variables]
    answer = teacher.predict(IMAGES[0], verbose=0)

    model = build(Distill(teacher, temperature=1.0))
    assert len(model.variables) == len(build(ERM()).variables)
    images, labels = tf.constant(IMAGES[0]), tf.zeros(len(IMAGES[0]), tf.int32)
    outcome = model.algorithm.loss(model, reference.Batch(images, labels, tf.constant(0, tf.int64)))
    expected = soft_loss(answer, outcome.logits, 1.0)
    np.testing.assert_allclose(outcome.loss, expected, rtol=1e-5)

    log = fit(model)
    assert np.isfinite(log["loss"]) and int(model.optimizer.iterations.numpy()) == STEPS
    for variable, value in zip(variables, before, strict=True):
        np.testing.assert_array_equal(variable, value, err_msg=variable.path)
    assert not teacher.trainable_variables


def test_what_does_not_go_together_is_refused():
    with pytest.raises(UserError, match="algorithm distill needs a teacher: name the folder"):
        AlgorithmSettings(algorithm="distill")
    with pytest.raises(UserError, match="algorithm coral has no teacher: add --algorithm=distill"):
        AlgorithmSettings(algorithm="coral", teacher="runs/a")
    settings = AlgorithmSettings(algorithm="distill", teacher="runs/a")
    with pytest.raises(ValueError, match="needs the model of its teacher"):
        build_algorithm(settings)
    values = ("distill_temperature", 0.0), ("distill_soft_weight", 1.1), ("distill_start", -1)
    for name, value in values:
        with pytest.raises(UserError, match=name):
            AlgorithmSettings(**{name: value})
