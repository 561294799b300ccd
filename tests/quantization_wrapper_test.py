"""One wrapped layer: what it computes, its gradients, precision, flags and configuration."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from qtdog_tf.errors import UserError
from qtdog_tf.quantization import lsq
from qtdog_tf.quantization.annotate import QuantizeAnnotate, quantize_annotate_layer
from qtdog_tf.quantization.quantizer import LSQWeightQuantizer, is_step_size
from qtdog_tf.quantization.wrapper import MODES, QuantizeWrapper

INPUT = np.random.default_rng(0).normal(size=(2, 6, 6, 4)).astype("float32")

# Name: (layer class, its arguments, shape of the step sizes).
KINDS = {
    "conv": (keras.layers.Conv2D, {"filters": 6, "kernel_size": 3}, (1, 1, 1, 6)),
    "grouped": (keras.layers.Conv2D, {"filters": 6, "kernel_size": 3, "groups": 2}, (1, 1, 1, 6)),
    "depthwise": (
        keras.layers.DepthwiseConv2D,
        {"kernel_size": 3, "depth_multiplier": 2, "use_bias": False},
        (1, 1, 4, 2),
    ),
    "dense": (keras.layers.Dense, {"units": 5, "activation": "relu"}, (1, 5)),
}
LAYERS = pytest.mark.parametrize("kind", KINDS)


def make(kind, **kwargs):
    layer_class, arguments, _ = KINDS[kind]
    return layer_class(**arguments, **kwargs)


def wrap(layer, mode="train", **quantizer):
    """A built wrapper whose step sizes are initialised."""
    config = quantize_annotate_layer(layer, **quantizer).quantize_config
    wrapper = QuantizeWrapper(layer, config, mode=mode)
    wrapper(INPUT)
    wrapper.initialize_step_sizes()
    return wrapper


def parts(wrapper):
    [(weight, quantizer, variables)] = wrapper.quantized_weights
    return weight, quantizer, variables["step_size"]


def plain_twin(wrapper, kernel):
    """The layer that is in `wrapper`, unwrapped, with another kernel."""
    twin = type(wrapper.layer).from_config(wrapper.layer.get_config())
    twin.build(INPUT.shape)
    twin.set_weights([np.asarray(kernel), *wrapper.layer.get_weights()[1:]])
    return twin


@LAYERS
@pytest.mark.parametrize("bits", [2, 7, 8])
def test_computes_with_the_quantized_kernel(kind, bits):
    wrapper = wrap(make(kind), bits=bits)
    weight, quantizer, step_size = parts(wrapper)
    assert step_size.shape == KINDS[kind][2]
    codes = quantizer.codes(weight, {"step_size": step_size}).numpy()
    expected = plain_twin(wrapper, codes * step_size.numpy())(INPUT)
    np.testing.assert_array_equal(wrapper(INPUT), expected)
    assert codes.min() >= quantizer.code_range.q_min
    assert codes.max() <= quantizer.code_range.q_max
    assert np.abs(codes * step_size.numpy() - weight.numpy()).max() > 0


@LAYERS
def test_one_step_size_a_layer(kind):
    _, _, step_size = parts(wrap(make(kind), per_channel=False))
    assert np.size(step_size) == 1


@LAYERS
@pytest.mark.parametrize("mode", ["off", "frozen_float"])
def test_float_modes_compute_what_the_layer_computes(kind, mode):
    layer = make(kind)
    np.testing.assert_array_equal(wrap(layer, mode)(INPUT), layer(INPUT))


@LAYERS
def test_gradients_go_through_the_quantizer(kind):
    wrapper = wrap(make(kind), bits=3)
    weight, quantizer, step_size = parts(wrapper)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(wrapper(INPUT) ** 2)
    gradients = tape.gradient(loss, [weight.value, step_size.value])

    scale = lsq.gradient_scale(weight.shape, quantizer.code_range, quantizer.channel_axes)
    kernel, step = tf.constant(weight.numpy()), tf.constant(step_size.numpy())
    with tf.GradientTape() as tape:
        tape.watch([kernel, step])
        value = lsq.fake_quantize(kernel, step, quantizer.code_range, quantizer.channel_axes, scale)
    twin = plain_twin(wrapper, value)
    with tf.GradientTape() as inner:
        loss = tf.reduce_sum(twin(INPUT) ** 2)
    upstream = inner.gradient(loss, twin.weights[0].value)
    expected = tape.gradient(value, [kernel, step], output_gradients=upstream)
    for ours, theirs in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
        assert np.abs(theirs).max() > 0


def test_the_latent_kernel_is_back_after_a_call_that_fails():
    wrapper = wrap(keras.layers.Conv2D(3, 5))
    weight, _, _ = parts(wrapper)
    with pytest.raises(tf.errors.InvalidArgumentError, match="negative"):
        wrapper(INPUT[:, :2])
    assert wrapper.layer.kernel is weight
    assert wrapper(INPUT).shape == (2, 2, 2, 3)


@pytest.fixture(params=["mixed_bfloat16", "mixed_float16", "bfloat16"])
def policy(request):
    """The process's precision policy for the time of a test."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


@LAYERS
def test_quantizer_runs_in_float32_under_any_policy(kind, policy):
    wrapper = wrap(make(kind), bits=7)
    weight, quantizer, step_size = parts(wrapper)
    assert step_size.dtype == "float32"
    kernel = tf.cast(tf.convert_to_tensor(weight), tf.float32).numpy()
    codes = np.rint(np.clip(kernel / step_size.numpy(), -64, 63))
    np.testing.assert_array_equal(quantizer.codes(weight, {"step_size": step_size}), codes)

    output = wrapper(INPUT)
    assert output.dtype == wrapper.layer.compute_dtype
    twin = plain_twin(wrapper, tf.cast(codes * step_size.numpy(), weight.dtype))
    np.testing.assert_array_equal(tf.cast(output, "float32"), tf.cast(twin(INPUT), "float32"))

    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.cast(wrapper(INPUT), "float32") ** 2)
    for variable, gradient in zip(
        (weight, step_size), tape.gradient(loss, [weight.value, step_size.value]), strict=True
    ):
        assert gradient.dtype == variable.dtype
        assert np.abs(tf.cast(gradient, "float32")).max() > 0


def test_inputs_reach_the_layer_as_they_are():
    layer = keras.layers.Dense(3, dtype="float64")
    wrapper = wrap(layer, "off")
    images = np.random.default_rng(2).normal(size=INPUT.shape)
    np.testing.assert_array_equal(wrapper(images), layer(images))
    assert np.abs(layer(images) - layer(images.astype("float32"))).max() > 0


def test_quantizer_runs_in_float32_inside_a_model(policy):
    # Under a mixed policy the model opens an autocast scope: reading a variable rounds it.
    seen = []

    class Spy(LSQWeightQuantizer):
        def __call__(self, inputs, training, weights, **kwargs):
            seen.append((tf.convert_to_tensor(inputs), tf.convert_to_tensor(weights["step_size"])))
            return super().__call__(inputs, training, weights, **kwargs)

    wrapper = wrap(keras.layers.Conv2D(3, 3))
    wrapper.quantize_config.quantizer.__class__ = Spy
    image = keras.Input((6, 6, 4))
    model = keras.Model(image, wrapper(image))
    seen.clear()
    model(INPUT)
    weight, _, step_size = parts(wrapper)
    [(kernel, step)] = seen
    np.testing.assert_array_equal(kernel, weight)
    np.testing.assert_array_equal(step, step_size)
    assert model.output.dtype == policy.removeprefix("mixed_")


def test_masks_go_through_a_dense_layer():
    tokens = np.array([[1, 2, 0, 0], [3, 1, 2, 0]])
    embedded = keras.layers.Embedding(5, 4, mask_zero=True)(tokens)
    for marked in (QuantizeWrapper, QuantizeAnnotate):
        layer = keras.layers.Dense(3)
        output = marked(layer, quantize_annotate_layer(layer).quantize_config)(embedded)
        np.testing.assert_array_equal(output._keras_mask, tokens != 0)


def test_freezing_modes_take_weights_and_step_sizes_out_of_training():
    wrapper = wrap(keras.layers.Conv2D(3, 3), "off")
    kernel, _, step_size = parts(wrapper)
    bias = wrapper.layer.bias
    expected = {"train": 3, "off": 3, "frozen": 1, "frozen_float": 1}
    for mode in ("train", "frozen", "off", "frozen_float", "frozen", "train"):
        wrapper.set_mode(mode)
        assert wrapper.mode == mode
        assert wrapper.quantizes == (mode in ("train", "frozen"))
        assert len(wrapper.trainable_variables) == expected[mode]
        assert kernel.trainable == step_size.trainable == (expected[mode] == 3)
        assert any(variable is bias for variable in wrapper.trainable_variables)
    assert len(wrapper.variables) == 3
    assert [is_step_size(variable) for variable in wrapper.variables].count(True) == 1


def test_what_the_user_froze_stays_frozen():
    frozen_layer = keras.layers.Conv2D(3, 3, trainable=False)
    wrapper = wrap(frozen_layer, "off")
    assert not wrapper.trainable
    wrapper.set_mode("train")
    assert wrapper.trainable_variables == []

    frozen_kernel = wrap(keras.layers.Conv2D(3, 3), "off")
    frozen_kernel.layer.kernel.trainable = False
    frozen_kernel.set_mode("train")
    assert not frozen_kernel.layer.kernel.trainable


def test_a_frozen_mode_outlasts_the_trainable_switch():
    wrapper = wrap(keras.layers.Conv2D(3, 3), "frozen")
    wrapper.trainable = False
    wrapper.trainable = True
    assert [v.name for v in wrapper.trainable_variables] == ["bias"]


def test_a_weight_that_is_called_step_size_is_not_taken_for_one():
    layer = keras.layers.Layer()
    assert not is_step_size(layer.add_weight(shape=(3,), name="step_size"))
    _, _, step_size = parts(wrap(keras.layers.Dense(2)))
    assert is_step_size(step_size)


@pytest.mark.parametrize("mode", MODES)
def test_configuration_round_trip(mode):
    wrapper = wrap(keras.layers.Conv2D(3, 3), mode, bits=5, narrow_range=True, init="max")
    config = keras.saving.serialize_keras_object(wrapper)
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.mode == mode
    assert copy.quantize_config == wrapper.quantize_config
    assert copy.get_config() == wrapper.get_config()
    copy(INPUT)
    assert len(copy.trainable_variables) == len(wrapper.trainable_variables)


def test_quantizers_are_equal_if_their_settings_are():
    quantizer = LSQWeightQuantizer(bits=4, channel_axes=[-2, -1], grad_scale="channel")
    same = LSQWeightQuantizer.from_config(quantizer.get_config())
    assert quantizer == same
    assert hash(quantizer) == hash(same)
    assert quantizer != LSQWeightQuantizer(bits=4, channel_axes=[-2, -1])
    assert (quantizer.bits, quantizer.code_range.narrow_range) == (4, False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bits": 9}, "bits must be an integer from 2 to 8, received 9"),
        ({"init": "median"}, "init must be one of .* received 'median'"),
        ({"grad_scale": "layer"}, "grad_scale must be one of .* received 'layer'"),
    ],
)
def test_unknown_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        quantize_annotate_layer(keras.layers.Dense(3), **settings)


def test_unknown_modes_and_layers_are_refused():
    with pytest.raises(ValueError, match="mode must be one of .* received 'on'"):
        wrap(keras.layers.Dense(3), "on")
    with pytest.raises(ValueError, match="received 'on'"):
        wrap(keras.layers.Dense(3)).set_mode("on")
    with pytest.raises(UserError, match="'relu' is a ReLU, and only Conv2D"):
        quantize_annotate_layer(keras.layers.ReLU(name="relu"))
