"""One quantizer, two hosts: TFMOT itself on a tf_keras model against ours on a Keras 3 model."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from qtdog_tf.quantization.annotate import all_but, quantize
from qtdog_tf.quantization.inq import to_level
from qtdog_tf.quantization.inq_quantizer import INQWeightQuantizer
from qtdog_tf.quantization.quantize_config import WeightQuantizeConfig
from qtdog_tf.quantization.quantizer import LSQWeightQuantizer, is_step_size
from qtdog_tf.quantization.start import start_quantization
from qtdog_tf.quantization.tfmot_host import (
    CUSTOM_OBJECTS,
    WeightsOnlyScheme,
    fix_weights,
    initialize_step_sizes,
    quantized_weights,
)
from qtdog_tf.quantization.uniform_noise import UniformNoiseQuantizer, uniform_noise

# isort: split
import tensorflow_model_optimization as tfmot  # Sets an environment variable if it comes first.

api = tfmot.quantization.keras

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(8, 12, 12, 3)).astype("float32")
LABELS = RNG.integers(0, 5, 8)
FLOAT_LAYER = "head"


def build(layers, model_class, mark):
    """The same network on either Keras; `mark` wraps what is to be quantized."""
    image = layers.Input((12, 12, 3))
    x = mark(layers.Conv2D(8, 3, padding="same", use_bias=False, name="stem"))(image)
    x = skip = layers.ReLU()(layers.BatchNormalization(name="bn")(x))
    x = mark(layers.DepthwiseConv2D(3, padding="same", name="depthwise"))(x)
    x = mark(layers.Conv2D(8, 1, activation="relu", name="project"))(x)
    x = layers.GlobalAveragePooling2D()(layers.Add()([x, skip]))
    x = mark(layers.Dense(6, name="middle"))(x)
    return model_class(image, layers.Dense(5, name=FLOAT_LAYER)(x))


def float_model(seed=0):
    """The network on Keras 3, with no weight at a special value."""
    model = build(keras.layers, keras.Model, lambda layer: layer)
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        spread = rng.normal(size=variable.shape, scale=0.3)
        kernel = variable.name == "kernel"
        variable.assign(spread if kernel else variable + np.abs(spread))
    return model


def with_keras3(model, bits):
    """A float model quantized by this package."""
    quantized = quantize(model, all_but(FLOAT_LAYER), bits=bits)
    start_quantization(quantized)
    return quantized


def with_tfmot(model, bits, quantizer=LSQWeightQuantizer, **settings):
    """A float model quantized by TFMOT on tf_keras."""

    def mark(layer):
        axes = (-2, -1) if isinstance(layer, tf_keras.layers.DepthwiseConv2D) else (-1,)
        config = WeightQuantizeConfig(quantizer(bits, axes, **settings))
        return api.quantize_annotate_layer(layer, config)

    annotated = build(tf_keras.layers, tf_keras.Model, mark)
    with api.quantize_scope(CUSTOM_OBJECTS):
        quantized = api.quantize_apply(annotated, WeightsOnlyScheme())
    theirs = named(quantized, "weights")
    for name, variable in named(model, "weights").items():
        theirs[name].assign(variable.numpy())
    initialize_step_sizes(quantized)
    return quantized


def named(model, kind="trainable_variables"):
    """Variables by (layer, variable), called the same on both hosts."""
    return {
        (
            layer.name.removeprefix("quant_"),
            variable.name.split(":")[0].split("/")[-1].replace("depthwise_kernel", "kernel"),
        ): variable
        for layer in model.layers
        for variable in getattr(layer, kind)
    }


def loss_and_gradients(model):
    """Logits, and the gradient of the loss in every trainable variable."""
    with tf.GradientTape() as tape:
        logits = model(IMAGES, training=False)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=LABELS, logits=logits)
    variables = named(model)
    sources = [tf_variable(variable) for variable in variables.values()]
    gradients = tape.gradient(loss, sources)
    return logits.numpy(), dict(zip(variables, [g.numpy() for g in gradients], strict=True))


def tf_variable(variable):
    return variable.value if isinstance(variable, keras.Variable) else variable


def test_autograph_understands_the_quantizer(monkeypatch):
    messages = []
    monkeypatch.setattr(tf.get_logger(), "handle", lambda record: messages.append(record.msg))
    with_tfmot(float_model(), 6)
    assert not messages


@pytest.fixture(scope="module", params=[2, 4, 7, 8])
def hosts(request):
    """(bits, Keras 3 model, TFMOT model) with the same weights."""
    model = float_model()
    return request.param, with_keras3(model, request.param), with_tfmot(model, request.param)


def test_only_what_is_annotated_is_quantized(hosts):
    _, _, theirs = hosts
    wrapped = [
        layer.layer.name for layer in theirs.layers if isinstance(layer, api.QuantizeWrapper)
    ]
    assert wrapped == ["stem", "depthwise", "project", "middle"]
    assert len(theirs.layers) == len(float_model().layers)


def test_hosts_agree_in_outputs_and_gradients(hosts):
    bits, ours, theirs = hosts
    logits, gradients = loss_and_gradients(ours)
    their_logits, their_gradients = loss_and_gradients(theirs)
    assert gradients.keys() == their_gradients.keys()
    assert len(gradients) == 4 * 2 + 3 + 2 + 2  # kernels and step sizes, biases, norm, head

    difference = {"outputs": np.abs(logits - their_logits).max() / np.abs(logits).max()}
    for name, gradient in gradients.items():
        kind = "step sizes" if name[1].endswith("step_size") else name[1]
        scale = np.abs(gradient).max()
        assert scale > 0, name
        error = np.abs(gradient - their_gradients[name]).max() / scale
        difference[kind] = max(difference.get(kind, 0.0), error)
    shown = ("outputs", "kernel", "step sizes")
    print(f"\n{bits} bits:", ", ".join(f"{kind} {difference[kind]:.1e}" for kind in shown), end="")
    assert max(difference[kind] for kind in shown) < 1e-6
    # Gradients of biases are sums in which much cancels.
    assert max(difference.values()) < 1e-5


def test_hosts_train_alike():
    model = float_model()
    ours, theirs = with_keras3(model, 5), with_tfmot(model, 5)
    ours.compile(keras.optimizers.SGD(0.05), keras.losses.SparseCategoricalCrossentropy(True))
    theirs.compile(
        tf_keras.optimizers.SGD(0.05), tf_keras.losses.SparseCategoricalCrossentropy(True)
    )
    before = {name: variable.numpy() for name, variable in named(ours).items()}
    for host in (ours, theirs):
        host.fit(IMAGES, LABELS, epochs=3, batch_size=8, shuffle=False, verbose=0)
    their_variables = named(theirs)
    for name, variable in named(ours).items():
        assert np.abs(variable.numpy() - before[name]).max() > 0, name
        np.testing.assert_allclose(
            variable.numpy(), their_variables[name].numpy(), rtol=1e-4, atol=1e-5, err_msg=str(name)
        )


def test_step_sizes_stay_positive_under_tfmot():
    theirs = with_tfmot(float_model(), 4)
    theirs.compile(
        tf_keras.optimizers.SGD(1e3), tf_keras.losses.SparseCategoricalCrossentropy(True)
    )
    theirs.fit(IMAGES, LABELS, batch_size=8, verbose=0)
    sizes = [v.numpy() for v in theirs.trainable_variables if is_step_size(v)]
    assert len(sizes) == 4
    assert min(size.min() for size in sizes) >= 1e-8


def test_a_tfmot_model_is_restored_from_its_configuration(hosts):
    _, _, theirs = hosts
    with api.quantize_scope(CUSTOM_OBJECTS):
        restored = tf_keras.models.model_from_json(json.dumps(json.loads(theirs.to_json())))
    # By name: TFMOT orders the weights of a layer otherwise if it was built before it was wrapped.
    for name, variable in named(restored, "weights").items():
        variable.assign(named(theirs, "weights")[name])
    np.testing.assert_array_equal(restored(IMAGES), theirs(IMAGES))


def test_without_an_annotated_layer_there_is_nothing_to_initialize():
    with pytest.raises(ValueError, match="has no layer with a quantizer of qtdog_tf"):
        initialize_step_sizes(build(tf_keras.layers, tf_keras.Model, lambda layer: layer))


def train(model, **settings):
    loss = tf_keras.losses.SparseCategoricalCrossentropy(True)
    model.compile(tf_keras.optimizers.SGD(0.05, momentum=0.9), loss, **settings)
    model.fit(IMAGES, LABELS, epochs=2, batch_size=8, shuffle=False, verbose=0)


def test_inq_fixes_weights_under_tfmot():
    theirs = with_tfmot(float_model(), 5, INQWeightQuantizer)
    entries = quantized_weights(theirs)
    assert len(entries) == 4
    before = [weight.numpy() for weight, _, _ in entries]
    for (weight, quantizer, variables), value in zip(entries, before, strict=True):
        # Nothing is fixed yet: the layer computes with its weights.
        np.testing.assert_array_equal(quantizer(weight, True, variables), value)
    train(theirs)
    fix_weights(theirs, 0.5)
    halfway = [weight.numpy() for weight, _, _ in entries]
    train(theirs)
    for (weight, quantizer, variables), value in zip(entries, halfway, strict=True):
        fixed = np.isfinite(quantizer.fixed.numpy())
        assert fixed.sum() == int(0.5 * fixed.size)
        np.testing.assert_array_equal(weight.numpy()[fixed], value[fixed])
        assert np.abs(weight.numpy() - value)[~fixed].max() > 0
        levels = to_level(tf.constant(value), variables["step_size"][0], quantizer.count).numpy()
        np.testing.assert_array_equal(value[fixed], levels[fixed])
    fix_weights(theirs, 1.0)
    for weight, quantizer, variables in entries:
        assert quantizer.holds_codes
        np.testing.assert_array_equal(quantizer(weight, False, variables), weight)
        assert set(np.log2(np.abs(weight.numpy()[weight.numpy() != 0])) % 1) == {0.0}


def test_noise_is_added_under_tfmot_in_training_only():
    theirs = with_tfmot(float_model(), 7, UniformNoiseQuantizer, seed=3, layer=2)
    with pytest.raises(ValueError, match="noise needs the count of steps"):
        theirs(IMAGES, training=True)
    theirs.compile(tf_keras.optimizers.SGD(0.05), tf_keras.losses.SparseCategoricalCrossentropy())
    for _, quantizer, _ in quantized_weights(theirs):
        quantizer.step = theirs.optimizer.iterations
    weight, quantizer, variables = quantized_weights(theirs)[0]
    half = variables["step_size"].numpy() / 2
    noise = half * uniform_noise(weight.shape, 3, 2, 0)
    np.testing.assert_allclose(quantizer(weight, True, variables) - weight, noise, atol=1e-6)
    np.testing.assert_allclose(theirs(IMAGES), float_model()(IMAGES), atol=1e-6)
    theirs.optimizer.iterations.assign(1)
    assert np.abs(quantizer(weight, True, variables) - weight - noise).max() > 1e-3
