"""Uniform noise on weights: its law, what it depends on, its gradient, and training with it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from qtdog_tf.quantization import lsq
from qtdog_tf.quantization.annotate import quantize
from qtdog_tf.quantization.quantize_config import WeightQuantizeConfig
from qtdog_tf.quantization.start import is_quantized, start_quantization
from qtdog_tf.quantization.uniform_noise import UniformNoiseQuantizer, uniform_noise
from qtdog_tf.quantization.wrapper import QuantizeWrapper, quantize_wrappers
from qtdog_tf.training.adam import Adam
from qtdog_tf.training.optimizer import QuantizationOptimizer

WEIGHT = np.random.default_rng(0).normal(size=(3, 3, 4, 6)).astype("float32") * np.arange(1, 7)


def make_wrapper(**settings):
    layer = keras.layers.Conv2D(6, 3)
    config = WeightQuantizeConfig(UniformNoiseQuantizer(**settings))
    wrapper = QuantizeWrapper(layer, config, mode="train")
    wrapper.build((None, 5, 5, 4))
    layer.kernel.assign(WEIGHT)
    wrapper.initialize_step_sizes()
    return wrapper


def noisy(wrapper, training=True):
    [(weight, quantizer, variables)] = wrapper.quantized_weights
    return quantizer(weight, training, variables).numpy() - WEIGHT


def test_the_law_is_uniform_and_draws_are_independent():
    draws = [
        uniform_noise((200, 100), seed, layer, step).numpy().ravel().astype("float64")
        for seed, layer, step in ((1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1), (0, 1, 1))
    ]
    for values in draws:
        assert values.min() >= -1 and values.max() < 1
        # Standard errors of the mean and of the mean square of 20,000 are 0.004 and 0.002.
        assert abs(values.mean()) < 0.016 and abs(np.mean(values**2) - 1 / 3) < 0.009
    correlations = np.corrcoef(draws) - np.eye(len(draws))
    assert np.abs(correlations).max() < 0.03
    again = uniform_noise((200, 100), 1, 0, tf.constant(1, tf.int64))
    np.testing.assert_array_equal(again.numpy().ravel().astype("float64"), draws[3])


@pytest.mark.parametrize("bits", [2, 7])
def test_matched_noise_has_the_size_of_half_a_step_size(bits):
    wrapper = make_wrapper(bits=bits, step=tf.Variable(5))
    step_size = lsq.initial_step_size(WEIGHT, lsq.CodeRange(bits), (-1,)).numpy()
    np.testing.assert_array_equal(wrapper.quantized_weights[0][2]["step_size"], step_size)
    part = noisy(wrapper) / step_size
    # The largest of 36 a channel; and the rms of all, 1 / sqrt(12).
    assert np.all(np.abs(part) <= 0.501) and np.all(np.abs(part).max((0, 1, 2)) > 0.4)
    assert abs(np.sqrt(np.mean(part**2)) - 1 / np.sqrt(12)) < 0.03


def test_unmatched_noise_has_one_amplitude():
    noise = noisy(make_wrapper(amplitude=1e-2, step=tf.Variable(5)))
    assert np.all(np.abs(noise).max((0, 1, 2)) > 0.8e-2) and np.abs(noise).max() < 1.0001e-2


def test_evaluation_computes_what_the_layer_computes():
    wrapper = make_wrapper(bits=2, step=tf.Variable(0))
    images = np.ones((1, 5, 5, 4), "float32")
    np.testing.assert_array_equal(wrapper(images), wrapper.layer(images))
    assert np.abs(wrapper(images, training=True) - wrapper.layer(images)).max() > 0.1


def test_a_step_has_one_draw_and_the_next_another():
    step = tf.Variable(0)
    wrapper = make_wrapper(bits=4, step=step)
    first = noisy(wrapper)
    np.testing.assert_array_equal(noisy(wrapper), first)
    step.assign_add(1)
    assert np.abs(noisy(wrapper) - first).max() > 0.01


def test_gradients_pass_as_if_there_were_no_noise():
    wrapper = make_wrapper(bits=3, step=tf.Variable(0))
    [(weight, quantizer, variables)] = wrapper.quantized_weights
    upstream = tf.constant(WEIGHT[::-1].copy())
    with tf.GradientTape() as tape:
        value = quantizer(weight, True, variables)
    by_weight, by_step = tape.gradient(
        value, [weight.value, variables["step_size"].value], output_gradients=upstream
    )
    np.testing.assert_array_equal(by_weight, upstream)
    # None, not 0: the optimizer of the step sizes does not count a step.
    assert by_step is None


def test_configuration_round_trip_and_refusals():
    wrapper = make_wrapper(bits=3, amplitude=None, seed=4, layer=2, step=tf.Variable(0))
    config = keras.saving.serialize_keras_object(wrapper)
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.quantize_config == wrapper.quantize_config
    assert not wrapper.quantizes
    with pytest.raises(ValueError, match="noise needs the count of steps"):
        copy(np.ones((1, 5, 5, 4), "float32"), training=True)
    for settings, message in (
        ({"amplitude": 0.0}, "amplitude must be above 0, received 0.0"),
        ({"init": "median"}, "init must be one of"),
        ({"bits": 9}, "bits must be an integer from 2 to 8"),
    ):
        with pytest.raises(ValueError, match=message):
            UniformNoiseQuantizer(**settings)


def test_training_with_noise_moves_weights_and_not_the_amplitude():
    keras.utils.set_random_seed(1)
    image = keras.Input((6, 6, 2))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(image))
    model = quantize(keras.Model(image, keras.layers.Dense(2)(x)), bits=5)
    model.compile(QuantizationOptimizer(Adam(1e-2)), loss="mse")
    start_quantization(
        model,
        "train",
        lambda model, number, own: UniformNoiseQuantizer(
            bits=3, channel_axes=own.channel_axes, layer=number, step=model.optimizer.iterations
        ),
    )
    assert not is_quantized(model)
    [(weight, _, variables)] = quantize_wrappers(model)[0].quantized_weights
    before = weight.numpy(), variables["step_size"].numpy()
    images = np.random.default_rng(1).normal(size=(8, 6, 6, 2)).astype("float32")
    losses = [
        model.evaluate(images, np.ones((8, 2)), verbose=0),
        model.fit(images, np.ones((8, 2)), batch_size=8, verbose=0).history["loss"][0],
    ]
    assert abs(losses[0] - losses[1]) > 1e-3 * losses[0]
    assert np.abs(weight.numpy() - before[0]).min() > 0
    np.testing.assert_array_equal(variables["step_size"].numpy(), before[1])
    assert model.optimizer.step_size_optimizer.iterations.numpy() == 0
