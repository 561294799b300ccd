"""The memory of evaluations that is predicted, and arithmetic that does without copies."""

import keras
import numpy as np
import pytest

from qtdog_tf.algorithms.distill import Distill
from qtdog_tf.algorithms.erm import ERM
from qtdog_tf.algorithms.model import AlgorithmModel
from qtdog_tf.training import confidence, evaluation
from qtdog_tf.training.memory import evaluation_bytes, predict_memory
from qtdog_tf.training.settings import TrainSettings

IMAGE = 224 * 224 * 3


def test_evaluation_keeps_parts_that_fit_and_logits_of_the_largest() -> None:
    # 1,783 images of 224 pixels fit into 256 MiB; DomainNet's parts do not.
    assert evaluation_bytes([1783], 7, 224) == 1783 * (IMAGE + 8 * 7)
    assert evaluation_bytes([1784], 7, 224) == 1784 * 8 * 7
    domain_net = evaluation_bytes([34_589, 138_358, 13_825], 345, 224)
    assert domain_net == 138_358 * 345 * 8
    assert evaluation_bytes([], 7, 224) == 0


def test_a_student_keeps_the_weights_of_its_teacher() -> None:
    image = keras.Input((4,))
    teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    logits = keras.layers.Dense(2)(image)
    alone = AlgorithmModel(image, logits, algorithm=ERM())
    student = AlgorithmModel(image, logits, algorithm=Distill(teacher))
    needs = [predict_memory(model, TrainSettings(), 3, images=0) for model in (alone, student)]
    assert needs[1].weights - needs[0].weights == 4 * (4 * 3 + 3)
    assert needs[1].activations == needs[0].activations > 0


@pytest.mark.parametrize("rows", [1, 7, 100])
def test_scores_do_not_depend_on_how_many_rows_are_worked_on(
    monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 3, (50, 4)).astype(np.float32)
    labels = random.integers(0, 4, 50)
    monkeypatch.setattr(evaluation, "_ROWS", rows)
    monkeypatch.setattr(confidence, "_ROWS", rows)
    probabilities = np.exp(logits.astype(np.float64))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    found = evaluation.score(logits, labels)
    own = probabilities[np.arange(50), labels]
    assert found.loss == pytest.approx(-np.log(own).mean(), rel=1e-12)
    assert found.accuracy == (probabilities.argmax(axis=1) == labels).mean()
    np.testing.assert_allclose(
        confidence.confidences(logits), probabilities.max(axis=1), rtol=1e-12
    )
