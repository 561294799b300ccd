"""Annotate and apply: the copy computes what the model computed, whatever its structure."""

import keras
import numpy as np
import pytest
import tf_keras
from keras import layers

from qtdog_tf.errors import UserError
from qtdog_tf.quantization.annotate import (
    QuantizeAnnotate,
    all_but,
    quantize,
    quantize_annotate,
    quantize_annotate_layer,
    quantize_apply,
)
from qtdog_tf.quantization.quantizer import is_step_size
from qtdog_tf.quantization.rebuild import float_reason
from qtdog_tf.quantization.start import is_quantized, start_quantization
from qtdog_tf.quantization.wrapper import QuantizeWrapper, quantize_wrappers

IMAGES = np.random.default_rng(1).normal(size=(3, 8, 8, 3)).astype("float32")


def functional():
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", use_bias=False, name="stem")(image)
    x = skip = layers.BatchNormalization(name="bn")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(layers.Add(name="add")([x, skip]))
    return keras.Model(image, layers.Dense(5, name="head")(x), name="small")


def sequential():
    return keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(5)]
    )


def nested():
    backbone = keras.Sequential([functional(), layers.Dense(6, name="middle")], name="backbone")
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(3, 3, padding="same", name="first")(image)
    return keras.Model(image, layers.Dense(2, name="last")(backbone(x)))


def shared():
    image = keras.Input((8, 8, 3))
    conv = layers.Conv2D(3, 3, padding="same", name="twice")
    return keras.Model(image, conv(layers.ReLU()(conv(image))))


def shared_across_models():
    conv = layers.Conv2D(3, 3, padding="same")
    one, other, image = (keras.Input((8, 8, 3)) for _ in range(3))
    first = keras.Model(one, conv(one), name="first")
    second = keras.Model(other, layers.ReLU()(conv(other)), name="second")
    return keras.Model(image, second(first(image)))


def with_operations():
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(3, 3, padding="same")(image * 2 + 1)
    return keras.Model(image, keras.ops.relu(x) + image)


def adapted_normalization():
    # keras.applications.EfficientNet has one.
    normalization = layers.Normalization()
    normalization.adapt(IMAGES * 7 + 3)
    image = keras.Input((8, 8, 3))
    return keras.Model(image, layers.Conv2D(3, 3)(normalization(image)))


def two_inputs_and_outputs():
    image, other = keras.Input((8, 8, 3), name="image"), keras.Input((8, 8, 3), name="other")
    x = layers.Conv2D(3, 3)(layers.Concatenate()([image, other]))
    return keras.Model({"image": image, "other": other}, {"a": x, "b": layers.ReLU()(x)})


MODELS = {
    builder.__name__: (builder, convolutions)
    for builder, convolutions in [
        (functional, 2), (sequential, 1), (nested, 3), (shared, 1), (shared_across_models, 1),
        (with_operations, 1), (adapted_normalization, 1), (two_inputs_and_outputs, 1),
    ]
}  # fmt: skip


def outputs(model, training=False):
    inputs = {"image": IMAGES, "other": -IMAGES} if len(model.inputs) == 2 else IMAGES
    return keras.tree.flatten(
        keras.tree.map_structure(np.asarray, model(inputs, training=training))
    )


@pytest.mark.parametrize("name", MODELS)
def test_bit_for_bit_the_float_model_until_quantization_starts(name):
    builder, convolutions = MODELS[name]
    model = builder()
    for weight in model.trainable_weights:  # so that no bias is 0
        weight.assign(weight.numpy() + np.arange(weight.numpy().size).reshape(weight.shape) % 3)
    quantized = quantize(model, bits=4)
    assert len(quantize_wrappers(quantized)) == convolutions
    assert not is_quantized(quantized)
    assert type(quantized) is type(model)
    assert quantized.name == model.name
    for ours, theirs in zip(outputs(quantized), outputs(model), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert quantized.count_params() - model.count_params() == sum(
        step_size.numpy().size
        for wrapper in quantize_wrappers(quantized)
        for _, _, variables in wrapper.quantized_weights
        for step_size in variables.values()
    )

    start_quantization(quantized)
    assert is_quantized(quantized)
    pairs = zip(outputs(quantized), outputs(model), strict=True)
    assert all(np.abs(ours - theirs).max() > 0 for ours, theirs in pairs)


def test_dropout_draws_the_same_in_the_copy():
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(2, 3), layers.Dropout(0.5)])
    quantized = quantize(model)
    for _ in range(2):
        [ours], [theirs] = outputs(quantized, training=True), outputs(model, training=True)
        np.testing.assert_array_equal(ours, theirs)


def test_the_original_model_is_left_alone():
    model = functional()
    before = model.get_weights()
    quantized = quantize(model)
    start_quantization(quantized)
    for weight in quantized.weights:
        weight.assign(weight.numpy() + 1)
    for ours, theirs in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not any(isinstance(layer, QuantizeWrapper) for layer in model.layers)


def test_the_steps_in_between():
    annotated = quantize_annotate(functional(), all_but("stem"), bits=5, per_channel=False)
    marked = [layer for layer in annotated.layers if isinstance(layer, QuantizeAnnotate)]
    assert [mark.layer.name for mark in marked] == ["depthwise", "head"]
    reloaded = keras.Model.from_config(annotated.get_config())
    wrappers = quantize_wrappers(quantize_apply(reloaded))
    assert [wrapper.layer.name for wrapper in wrappers] == ["depthwise", "head"]
    for wrapper in wrappers:
        quantizer = wrapper.quantize_config.quantizer
        assert (quantizer.bits, quantizer.channel_axes) == (5, ())
    np.testing.assert_array_equal(annotated(IMAGES), quantize_apply(annotated)(IMAGES))


def test_layers_may_be_marked_by_hand_with_settings_of_their_own():
    image = keras.Input((8, 8, 3))
    x = quantize_annotate_layer(layers.Conv2D(4, 3, name="coarse"), bits=3)(image)
    x = quantize_annotate_layer(layers.Conv2D(4, 3, name="fine"), bits=8)(x)
    model = quantize_apply(keras.Model(image, layers.Conv2D(2, 1, name="float")(x)))
    bits = {w.layer.name: w.quantize_config.quantizer.bits for w in quantize_wrappers(model)}
    assert bits == {"coarse": 3, "fine": 8}


def test_channels_of_a_depthwise_convolution_have_step_sizes_of_their_own():
    model = quantize(functional())
    [(_, quantizer, variables)] = quantize_wrappers(model)[1].quantized_weights
    assert quantizer.channel_axes == (-2, -1)
    assert variables["step_size"].shape == (1, 1, 4, 1)


def test_trainable_flags_are_kept():
    model = functional()
    model.get_layer("stem").trainable = False
    model.get_layer("depthwise").kernel.trainable = False
    model.get_layer("bn").trainable = False
    quantized = quantize(model)
    start_quantization(quantized)
    depthwise, head = quantized.get_layer("quant_depthwise"), quantized.get_layer("head")
    expected = [depthwise.layer.bias, *head.weights]
    learning = [v for v in quantized.trainable_variables if not is_step_size(v)]
    assert [id(v) for v in learning] == [id(v) for v in expected]
    assert quantized.get_layer("quant_stem").trainable_variables == []


def test_step_sizes_of_a_part_that_is_quantized_already_are_kept():
    backbone = quantize(functional(), bits=3)
    start_quantization(backbone)
    image = keras.Input((8, 8, 3))
    whole = keras.Model(image, layers.Dense(2, name="top")(backbone(image)))
    copy = quantize(whole, all_but("head"), bits=3)
    np.testing.assert_array_equal(copy(IMAGES), whole(IMAGES))
    assert [w.mode for w in quantize_wrappers(copy)] == ["train", "train", "off"]


def test_the_rules_reason_is_remembered():
    quantized = quantize(functional())
    reason = float_reason(quantized.get_layer("head"))
    assert reason == "dense layers stay float under the rule 'convolutions'"
    assert float_reason(quantized.get_layer("add")) is None
    quantized = quantize(functional(), all_but("stem"))
    assert float_reason(quantized.get_layer("stem")) == "named as an exception"


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="mine")
        self.conv = layers.Conv2D(2, 3)

    def call(self, inputs):
        return self.conv(inputs)


class OwnTrainStep(keras.Model):
    def __init__(self, filters=2):
        image = keras.Input((8, 8, 3))
        super().__init__(image, layers.Conv2D(filters, 3)(image), name="mine")


def model_with_a_part_without_config():
    image = keras.Input((8, 8, 3))
    return keras.Model(image, layers.Conv2D(2, 3)(Subclassed()(image)))


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        (Subclassed, "'mine' is a subclass of keras.Model.*functional or sequential"),
        (OwnTrainStep, "'mine' is a OwnTrainStep, a class whose own methods its copy would lose"),
        (model_with_a_part_without_config, r"'mine' \(Subclassed\) cannot be copied"),
        (lambda: tf_keras.Sequential([tf_keras.layers.Dense(2)]), "a Keras 3 model is needed"),
        (lambda: keras.Sequential([layers.ReLU()], name="dull"), "'dull' has no layer that the"),
        (lambda: keras.Sequential([layers.Dense(2)], name="head"), "'head' has no layer that the"),
    ],
)  # fmt: skip
def test_what_cannot_be_quantized_is_refused(builder, message):
    with pytest.raises(UserError, match=message):
        quantize(builder())


def test_apply_without_annotate_is_refused():
    with pytest.raises(UserError, match="no annotated layer: run quantize_annotate first"):
        quantize_apply(functional())
