"""The start of quantization in a pipeline of one's own: averages, and a run that was restarted."""

from pathlib import Path

import keras
import numpy as np
import pytest

from qtdog_tf.averaging.swa import StochasticWeightAverage
from qtdog_tf.quantization import is_quantized, quantize
from qtdog_tf.quantization.quantizer import is_step_size
from qtdog_tf.records import Evaluation, Score
from qtdog_tf.training import QuantizationOptimizer, StartQuantization

K = 4
RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.normal(size=(32, 6, 6, 3)).astype("float32"), RNG.integers(0, 2, 32)


def build(average: StochasticWeightAverage | None = None) -> keras.Model:
    keras.utils.set_random_seed(1)
    image = keras.Input((6, 6, 3))
    x = keras.layers.Flatten()(keras.layers.Conv2D(2, 3)(image))
    model = quantize(keras.Model(image, keras.layers.Dense(2)(x)), bits=4)
    optimizer = QuantizationOptimizer(
        keras.optimizers.Adam(1e-2), averages=[average] if average else []
    )
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.optimizer.build(model.trainable_variables)
    return model


def fit(model: keras.Model, mode: str = "train") -> None:
    """Four steps."""
    start = StartQuantization(K, mode)
    model.fit(IMAGES, LABELS, batch_size=8, shuffle=False, verbose=0, callbacks=[start])


def step_sizes(model: keras.Model) -> np.ndarray:
    (variable,) = [variable for variable in model.variables if is_step_size(variable)]
    return variable.numpy()


@pytest.mark.parametrize("mode", ["train", "off"])
def test_an_average_forgets_what_was_before_quantization(mode: str) -> None:
    average = StochasticWeightAverage()
    model = build(average)
    fit(model, mode)
    record = Evaluation(3, "raw", False, {"a": {"out": Score(0.5, 1.0, 10)}}, {})
    average.evaluated(record)
    assert average.ready
    fit(model, mode)
    # Samples of a float phase have step sizes of 1, which are none.
    assert average.ready == (mode == "off")


def test_a_restarted_run_goes_on_with_the_step_sizes_that_it_had_learned(tmp_path: Path) -> None:
    straight = build()
    for _ in range(3):
        fit(straight)
    stopped = build()
    for _ in range(2):
        fit(stopped)
    assert np.all(step_sizes(stopped) != 1)
    stopped.save_weights(tmp_path / "x.weights.h5")
    again = build()
    again.load_weights(tmp_path / "x.weights.h5")
    assert int(again.optimizer.iterations.numpy()) == 2 * K and not is_quantized(again)
    fit(again)
    assert is_quantized(again)
    np.testing.assert_array_equal(step_sizes(again), step_sizes(straight))
    for ours, theirs in zip(again.get_weights(), straight.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_step_sizes_are_initialised_at_step_k_even_if_they_were_set_before() -> None:
    first, second = build(), build()
    for variable in second.variables:
        if is_step_size(variable):
            variable.assign(np.full(variable.shape, 0.5))
    for model in (first, second):
        fit(model)
        fit(model)
    np.testing.assert_array_equal(step_sizes(first), step_sizes(second))
