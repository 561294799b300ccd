"""What a person is told when a step of training fails."""

import keras
import pytest
import tensorflow as tf

from qtdog_tf.errors import UserError
from qtdog_tf.training.checkpoints import CheckpointStore
from qtdog_tf.training.failures import bad_training_images
from tests.trials import SETTINGS, make_trial


def test_an_operation_that_cannot_repeat_itself_names_the_flag(domain_set, tmp_path) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.compile("adam", "mse")
    said = "A deterministic GPU implementation of some operation is not currently available.\n[[x]]"
    error = tf.errors.UnimplementedError(None, None, said)
    batches = make_trial(domain_set, tmp_path).data.batches()
    store = CheckpointStore(tmp_path / "checkpoints")
    with pytest.raises(UserError) as refused:
        bad_training_images(error, model, batches, frozenset(), SETTINGS, store)
    sentence = str(refused.value)
    assert "of some operation is not currently available): add --nodeterministic" in sentence
    assert "\n" not in sentence
