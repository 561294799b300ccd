"""The moving average against a running mean in NumPy, with the start rule of the method."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from qtdog_tf.averaging.simple_moving_average import SimpleMovingAverage
from qtdog_tf.quantization.annotate import quantize
from qtdog_tf.quantization.quantizer import is_step_size
from qtdog_tf.quantization.start import start_quantization
from qtdog_tf.quantization.wrapper import quantize_wrappers
from qtdog_tf.training.adam import Adam
from qtdog_tf.training.optimizer import QuantizationOptimizer

IMAGES = np.random.default_rng(0).normal(size=(24, 6, 6, 2)).astype("float32")
LABELS = np.random.default_rng(1).integers(0, 2, 24).astype("int32")


def eoa_average(history, start):
    """EoA's rule (method 4), weight by weight: a copy before `start`, then a running mean."""
    shadow, count = history[0], 0
    for update, current in enumerate(history[1:], start=1):
        if update < start:
            shadow = current
        else:
            count += 1
            shadow = (shadow * count + current) / (count + 1)
    return shadow


def build(average, **settings):
    image = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(3, 3)(image)
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    model = quantize(model, bits=3)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(QuantizationOptimizer(Adam(0.01), averages=[average]), loss=loss, **settings)
    model.optimizer.build(model.trainable_variables)
    return model


class Record(keras.callbacks.Callback):
    """The trainable variables of the beginning, after every update; starts quantization."""

    def __init__(self, start_at, mode):
        super().__init__()
        self.start_at, self.mode = start_at, mode

    def set_model(self, model):
        super().set_model(model)
        self.variables = list(model.trainable_variables)
        self.history = [self.values()]

    def values(self):
        return [np.array(v.numpy(), "float64") for v in self.variables]

    def on_train_batch_begin(self, batch, logs=None):
        if batch == self.start_at:
            start_quantization(self.model, self.mode)

    def on_train_batch_end(self, batch, logs=None):
        self.history.append(self.values())


def fit(average, start_at, mode):
    keras.utils.set_random_seed(0)
    model, record = build(average), Record(start_at, mode)
    model.fit(IMAGES, LABELS, batch_size=2, shuffle=False, verbose=0, callbacks=[record])
    return model, record


@pytest.mark.parametrize(
    ("start", "start_at", "mode"), [(4, 7, "train"), (9, 3, "train"), (4, 7, "frozen")]
)
def test_average_in_fit_is_the_running_mean(start, start_at, mode):
    average = SimpleMovingAverage(start)
    _, record = fit(average, start_at, mode)
    assert len(record.history) == 13
    for index, (variable, shadow) in enumerate(zip(record.variables, average.shadows, strict=True)):
        history = [values[index] for values in record.history]
        expected = eoa_average(history, start)
        if is_step_size(variable):
            # There are none before they have been updated first: their mean is over what follows.
            since = [values for values in history[max(start - 1, start_at + 1) :]]
            expected = np.mean(since, axis=0) if mode == "train" else history[-1]
        np.testing.assert_allclose(shadow.numpy(), expected, rtol=1e-5, err_msg=variable.path)


def test_before_its_start_it_is_the_latest():
    average = SimpleMovingAverage(100)
    _, record = fit(average, 5, "train")
    for variable, shadow in zip(record.variables, average.shadows, strict=True):
        np.testing.assert_array_equal(shadow, variable)


@pytest.mark.parametrize("start", [1, 2, 5])
def test_by_hand(start):
    # theta = 10, 11, 12, ...: a mean of consecutive integers.
    variable = keras.Variable(np.array([10.0], "float32"))
    average = SimpleMovingAverage(start)
    average.build([variable])
    assert float(average.shadows[0][0]) == 10
    for update in range(1, 9):
        variable.assign_add([1.0])
        average.update(tf.constant(update), tf.constant(0))
        first = start - 1 if update >= start else update
        expected = np.mean([10 + i for i in range(first, update + 1)])
        assert float(average.shadows[0][0]) == pytest.approx(expected)


def test_applied_shows_the_average_and_restores_the_latest():
    average = SimpleMovingAverage(2)
    model, _ = fit(average, 3, "train")
    latest = model.get_weights()
    [wrapper] = quantize_wrappers(model)
    [(weight, quantizer, variables)] = wrapper.quantized_weights
    with average.applied():
        for variable, shadow in zip(model.trainable_variables, average.shadows, strict=True):
            np.testing.assert_array_equal(variable, shadow)
        # Averaged latent weights and averaged step sizes: the averaged model is on a lattice too.
        codes = quantizer.codes(weight, variables).numpy().astype("float32")
        kernel = quantizer(weight, False, variables).numpy()
        np.testing.assert_array_equal(kernel, codes * variables["step_size"].numpy())
        averaged = model.predict(IMAGES, verbose=0)
    for ours, theirs in zip(model.get_weights(), latest, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert np.abs(model.predict(IMAGES, verbose=0) - averaged).max() > 1e-4

    with pytest.raises(RuntimeError, match="inside"), average.applied():
        raise RuntimeError("inside")
    for ours, theirs in zip(model.get_weights(), latest, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_before_the_first_update_the_average_is_the_model():
    average = SimpleMovingAverage()
    model = build(average)
    before = model.get_weights()
    with average.applied():
        for ours, theirs in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_bad_use_is_refused():
    with pytest.raises(ValueError, match="must start at step 1 or later, received 0"):
        SimpleMovingAverage(0)
    with pytest.raises(ValueError, match="no average yet"), SimpleMovingAverage().applied():
        pass
