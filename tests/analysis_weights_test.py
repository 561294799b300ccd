"""The weights that analyses move: models compute what they did, to the last bit."""

import keras
import numpy as np
import pytest
from keras import layers

from qtdog_tf.analysis.weights import dequantize, learned_weights, put_on_lattice
from qtdog_tf.models import build_classifier
from qtdog_tf.quantization import quantize, quantize_wrappers, start_quantization

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), np.uint8)
CONVOLUTIONS = ("stem_conv", "block_depthwise", "block_project_conv", "top_conv")


def build(bits=3, mode="train"):
    """A model with latent weights off the lattice, some of them outside of its range."""
    model = quantize(build_classifier("tiny", 3, image_size=16, weights=None, seed=2), bits=bits)
    start_quantization(model, mode)
    rng = np.random.default_rng(bits)
    for wrapper in quantize_wrappers(model):
        [(weight, _, variables)] = wrapper.quantized_weights
        weight.assign(weight * rng.uniform(0, 3, weight.shape))
        step_size = variables["step_size"]
        step_size.assign(step_size * rng.uniform(0.5, 1.5, step_size.shape))
    return model


def outputs(model):
    return model(IMAGES, training=False).numpy()


def kernels(model):
    return [weight for w in quantize_wrappers(model) for weight, _, _ in w.quantized_weights]


@pytest.mark.parametrize("bits", [2, 3, 7, 8])
@pytest.mark.parametrize("mode", ["train", "frozen"])
def test_a_quantized_model_computes_the_same(bits, mode):
    model = build(bits, mode)
    before, latent = outputs(model), [kernel.numpy() for kernel in kernels(model)]
    put_on_lattice(model)
    on_lattice = [kernel.numpy() for kernel in kernels(model)]
    np.testing.assert_array_equal(outputs(model), before)
    for value, other, wrapper in zip(latent, on_lattice, quantize_wrappers(model), strict=True):
        [(_, quantizer, variables)] = wrapper.quantized_weights
        codes = quantizer.codes(value, variables).numpy().astype(np.float32)
        np.testing.assert_array_equal(other, codes * variables["step_size"].numpy())
        assert np.any(other != value)
        assert wrapper.mode == mode

    put_on_lattice(model)  # is where it was
    dequantize(model)
    np.testing.assert_array_equal(outputs(model), before)
    for value, kernel, wrapper in zip(
        on_lattice, kernels(model), quantize_wrappers(model), strict=True
    ):
        np.testing.assert_array_equal(kernel, value)
        assert wrapper.mode == "off"


def test_small_moves_come_back_until_the_model_is_dequantized():
    model = build()
    put_on_lattice(model)
    before = outputs(model)
    for wrapper in quantize_wrappers(model):
        [(weight, _, variables)] = wrapper.quantized_weights
        weight.assign(weight + 0.49 * variables["step_size"])
    np.testing.assert_array_equal(outputs(model), before)
    for wrapper in quantize_wrappers(model):
        wrapper.set_mode("off")
    assert np.abs(outputs(model) - before).max() > 1e-3


@pytest.mark.parametrize("mode", ["off", "frozen_float"])
def test_a_float_model_stays_as_it_is(mode):
    model = build(mode=mode)
    before, values = outputs(model), model.get_weights()
    put_on_lattice(model)
    dequantize(model)
    np.testing.assert_array_equal(outputs(model), before)
    for ours, theirs in zip(model.get_weights(), values, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("mode", ["train", "frozen", "off", "frozen_float", None])
def test_learned_weights_are_those_of_a_float_model(mode):
    plain = build_classifier("tiny", 3, image_size=16, weights=None)
    model = plain if mode is None else build(mode=mode)
    dequantize(model)
    names = [f"{name}/kernel" for name in CONVOLUTIONS]
    for norm in ("stem_bn", "block_depthwise_bn", "block_project_bn", "top_bn"):
        names += [f"{norm}/gamma", f"{norm}/beta"]
    found = [variable.path for variable in learned_weights(model)]
    assert sorted(found) == sorted([*names, "head/kernel", "head/bias"])
    assert found == [variable.path for variable in plain.trainable_variables]


def test_what_the_user_froze_is_not_learned():
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(2, 3, name="fixed", trainable=False)(image)
    x = layers.Conv2D(2, 3, use_bias=False, name="free")(x)
    model = quantize(keras.Model(image, layers.GlobalAveragePooling2D()(x)))
    start_quantization(model)
    before = outputs(model)
    dequantize(model)
    assert [variable.path for variable in learned_weights(model)] == ["free/kernel"]
    np.testing.assert_array_equal(outputs(model), before)
