"""DiWA: the uniform average of several models, and what it refuses to average."""

import operator

import keras
import numpy as np
import pytest

from qtdog_tf.averaging.uniform import average_models, initialization_fingerprint
from qtdog_tf.errors import UserError
from qtdog_tf.quantization.annotate import quantize
from qtdog_tf.quantization.quantizer import is_step_size
from qtdog_tf.quantization.start import is_quantized, start_quantization
from qtdog_tf.quantization.wrapper import quantize_wrappers

IMAGES = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("float32")


def build(
    bits=3,
    seed=0,
    filters=4,
    dropout=0.0,
    mode="train",
    strides=1,
    activation="relu",
    deep=False,
    combine=operator.add,
):
    keras.utils.set_random_seed(seed)
    image = keras.Input((8, 8, 3))
    x = keras.layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 4.0, 9.0])(image)
    x = keras.layers.Conv2D(filters, 3, strides=strides, activation=activation)(x)
    x = keras.layers.BatchNormalization()(x)
    x = combine(keras.layers.DepthwiseConv2D(3, padding="same")(x), x)
    if deep:
        x = keras.layers.Conv2D(filters, 1)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    if dropout:
        x = keras.layers.Dropout(dropout, seed=seed)(x)
    model = keras.Model(image, keras.layers.Dense(2)(x))
    if bits is None:
        return model
    model = quantize(model, bits=bits)
    if mode != "off":
        start_quantization(model, mode)
    return model


def move(model, seed):
    """A model as if it had been trained from there."""
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        scale = 0.1 if is_step_size(variable) else 1.0
        variable.assign(variable + scale * rng.uniform(0, 0.5, variable.shape))
    return model


def test_weights_are_the_means_and_buffers_stay():
    models = [move(build(dropout=rate), i) for i, rate in enumerate([0.0, 0.1, 0.5])]
    before = [model.get_weights() for model in models]
    average = average_models(models)
    for variable, *values in zip(average.weights, *before, strict=True):
        expected = np.mean(np.asarray(values, "float64"), axis=0).astype(variable.dtype)
        np.testing.assert_array_equal(variable, expected, err_msg=variable.path)
    buffers = zip(average.non_trainable_weights, models[0].non_trainable_weights, strict=True)
    for ours, theirs in buffers:
        np.testing.assert_array_equal(ours, theirs)
    for model, values in zip(models, before, strict=True):
        for ours, theirs in zip(model.get_weights(), values, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_a_quantized_average_is_on_a_lattice(tmp_path):
    average = average_models([move(build(), seed) for seed in range(3)])
    assert is_quantized(average)
    wrappers = quantize_wrappers(average)
    assert len(wrappers) == 2
    for wrapper in wrappers:
        [(weight, quantizer, variables)] = wrapper.quantized_weights
        codes = quantizer.codes(weight, variables).numpy().astype("float32")
        assert np.abs(codes).max() <= 4
        step_size = variables["step_size"].numpy()
        np.testing.assert_array_equal(quantizer(weight, False, variables), codes * step_size)
    average.save(tmp_path / "average.keras")
    loaded = keras.saving.load_model(tmp_path / "average.keras")
    np.testing.assert_array_equal(loaded(IMAGES), average(IMAGES))


def test_the_average_of_equal_models_is_the_model():
    model = move(build(), 1)
    for models in ([model], [model, model, move(build(), 1)]):
        average = average_models(models)
        assert average is not model
        np.testing.assert_array_equal(average(IMAGES), model(IMAGES))


def test_float_models_and_statistics_of_pixels():
    models = []
    for scale in (1, 3):
        pixels = keras.layers.Normalization()
        pixels.adapt(scale * IMAGES)
        layers = [keras.Input((8, 8, 3)), pixels, keras.layers.Conv2D(2, 3)]
        models.append(keras.Sequential(layers))
    average = average_models(models)
    kernels = [model.layers[1].kernel for model in (average, *models)]
    np.testing.assert_array_equal(kernels[0], np.float32(np.mean(np.float64(kernels[1:]), axis=0)))
    scaled = average.layers[0](IMAGES).numpy()
    mean = 2 * IMAGES.mean(axis=(0, 1, 2))
    np.testing.assert_allclose(scaled * np.sqrt(5 * IMAGES.var((0, 1, 2))), IMAGES - mean, 1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bits": 4}, "must be quantized alike"),
        ({"mode": "frozen"}, "must be quantized alike"),
        ({"mode": "off"}, "must be quantized alike"),
        ({"bits": None}, "is not quantizable"),
        ({"filters": 5}, "kind, settings or shapes"),
        ({"strides": 2}, "kind, settings or shapes"),
        ({"activation": "tanh"}, "kind, settings or shapes"),
        ({"combine": operator.sub}, "kind, settings or shapes"),
        ({"deep": True}, "model 1 of the average has 9 layers and model 0 has 8"),
    ],
)
def test_what_does_not_fit_is_refused(settings, message):
    with pytest.raises(UserError, match=message):
        average_models([build(), build(**settings)])


def test_no_model_is_refused():
    with pytest.raises(UserError, match="no model to average"):
        average_models([])


def test_the_fingerprint_tells_initializations_apart():
    first = initialization_fingerprint(build(mode="off"))
    assert len(first) == 64
    # Names have counted on, and neither bits nor dropout are weights.
    assert initialization_fingerprint(build(mode="off", bits=5, dropout=0.5)) == first
    assert initialization_fingerprint(build(mode="off", seed=1)) != first
    model = build(mode="off")
    kernel = quantize_wrappers(model)[0].quantized_weights[0][0]
    value = kernel.numpy()
    value.flat[-1] = np.nextafter(value.flat[-1], np.float32(1))
    kernel.assign(value)
    assert initialization_fingerprint(model) != first
