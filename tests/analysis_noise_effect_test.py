"""The rise of the loss under quantization noise, against float64 and full Hessians."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from qtdog_tf.analysis.code_use import quantized_weights
from qtdog_tf.analysis.loss import DomainLoss
from qtdog_tf.analysis.noise_effect import NoiseEffectSettings, noise_effect, uniform_noise
from qtdog_tf.analysis.samples import Sample
from qtdog_tf.errors import UserError
from qtdog_tf.models import build_classifier
from qtdog_tf.quantization import quantize, quantize_wrappers, start_quantization

CLASSES = 3
PRECISE = NoiseEffectSettings(tolerance=0, max_probes=100, draws=40)
BRIEF = NoiseEffectSettings(min_probes=2, max_probes=2, draws=2)


def sample(images, domain="a", role="source", part="in", size=6):
    rng = np.random.default_rng(images)
    pixels = rng.integers(0, 256, (images, size, size, 3), np.uint8)
    labels = rng.integers(0, CLASSES, images, np.int32)
    return Sample(domain, role, part, tuple(f"{domain}{i}" for i in range(images)), pixels, labels)


SAMPLES = [
    sample(5),
    sample(7, "b"),
    sample(4, "b", part="out"),
    sample(9, "t", "target", "all"),
]


def build(activation, width, mode="train", bits=8):
    """A quantized network whose steps are `width` times as large as those of initialization."""
    keras.utils.set_random_seed(1)
    image = keras.Input((6, 6, 3))
    x = layers.Rescaling(1 / 64, -2.0)(image)
    x = layers.Conv2D(4, 3, 2, "same", name="conv")(x)
    x = layers.Activation(activation)(x)
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    x = layers.Activation(activation)(x)
    x = layers.Dense(CLASSES, name="head")(layers.GlobalAveragePooling2D()(x))
    model = quantize(keras.Model(image, x), bits=bits)
    start_quantization(model, mode)
    rng = np.random.default_rng(1)
    for variable in model.weights:
        if "step_size" in variable.path:
            variable.assign(variable * rng.uniform(0.5, 1.5, variable.shape) * width)
    model.get_layer("head").bias.assign([0.3, -0.2, 0.1])
    return model


def state(model):
    modes = [wrapper.mode for wrapper in quantize_wrappers(model)]
    return modes, [(v.path, v.trainable, v.numpy().tobytes()) for v in model.variables]


def reference(model, activation, images):
    """Loss of the two kernels as a vector, in float64, from operations that have such kernels."""
    bias, kernel, head = (
        tf.constant(v.numpy(), tf.float64)
        for v in (model.get_layer("quant_conv").layer.bias, *model.get_layer("head").weights)
    )
    act = {"tanh": tf.tanh, "relu": lambda x: tf.maximum(x, 0.0)}[activation]
    pixels = np.concatenate([one.pixels for one in images])
    labels = np.concatenate([one.labels for one in images])

    def loss(vector):
        first, second = tf.split(vector, [3 * 3 * 3 * 4, 3 * 3 * 4])
        x = tf.constant(pixels / 64.0 - 2.0)
        x = act(tf.nn.conv2d(x, tf.reshape(first, (3, 3, 3, 4)), 2, "SAME") + bias)
        strides = [1, 1, 1, 1]
        x = act(tf.nn.depthwise_conv2d(x, tf.reshape(second, (3, 3, 4, 1)), strides, "SAME"))
        logits = tf.reduce_mean(x, [1, 2]) @ kernel + head
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))

    return loss


def derivatives(loss, vector):
    vector = tf.constant(vector)
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(vector)
        with tf.GradientTape() as inner:
            inner.watch(vector)
            value = loss(vector)
        slope = inner.gradient(value, vector)
    return slope.numpy(), outer.jacobian(slope, vector, experimental_use_pfor=False).numpy()


def flat(arrays):
    return np.concatenate([np.ravel(array) for array in arrays]).astype("float64")


def vectors(model):
    """Latent weights, quantized weights and step sizes, each as one float64 vector."""
    weights = quantized_weights(model)
    step_sizes = [np.broadcast_to(w.step_size, w.codes.shape) for w in weights]
    return (
        flat(w.variable.numpy() for w in weights),
        flat(w.value for w in weights),
        flat(step_sizes),
    )


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_every_figure_in_float64(activation):
    model = build(activation, width=0.2)
    latent, quantized, s = vectors(model)
    d = quantized - latent
    weights = quantized_weights(model)
    draws = [flat(uniform_noise(weights, (0, draw))) for draw in range(40)]
    before, done = state(model), []
    result = noise_effect(model, SAMPLES, PRECISE, batch_size=5, on_step=done.append)
    assert state(model) == before
    assert list(result["roles"]) == ["source", "target"]
    assert done == list(range(1, 40 + 2 * 100 + 1))
    for role, images in (("source", SAMPLES[:2]), ("target", SAMPLES[3:])):
        row = result["roles"][role]
        loss = reference(model, activation, images)
        slope, matrix = derivatives(loss, latent)
        start, end = float(loss(latent)), float(loss(quantized))
        assert row["images"] == sum(len(one.labels) for one in images)
        assert (row["latent"], row["quantized"]) == pytest.approx((start, end), rel=1e-6)
        # Differences of float32 losses: of 1, to 6e-8, over a handful of images.
        assert row["measured"] == pytest.approx(end - start, abs=2e-7)
        assert row["first_order"] == pytest.approx(slope @ d, rel=1e-3)
        assert row["second_order"] == pytest.approx(d @ matrix @ d / 2, rel=1e-3)
        exact = np.sum(s**2 * np.diag(matrix)) / 24
        # The variance that theory gives for signs; of 100 their deviation is right to 7 %, thrice.
        scaled = s[:, np.newaxis] * matrix * s / 24
        error = np.sqrt(2 * np.sum((scaled - np.diag(np.diag(scaled))) ** 2) / 100)
        assert (row["probes"], row["draws"]) == (100, 40)
        assert row["standard_error"] == pytest.approx(error, rel=0.21)
        assert row["predicted"] == pytest.approx(exact, abs=3 * error)
        rises = [(float(loss(latent + n)) + float(loss(latent - n))) / 2 - start for n in draws]
        assert row["uniform"] == pytest.approx(np.mean(rises), abs=1e-7)
        error = np.std(rises, ddof=1) / np.sqrt(40)
        assert row["uniform_standard_error"] == pytest.approx(error, abs=1e-7)
        if activation == "tanh":
            # A step is 1 or 2 % of a weight, and the loss quadratic over it.
            assert np.mean(rises) == pytest.approx(exact, abs=3 * error + 0.02 * abs(exact))


@pytest.mark.parametrize("mode", ["train", "frozen"])
def test_quantized_is_what_the_model_computes(mode):
    model = build("relu", width=1.0, mode=mode, bits=3)
    [source, target] = noise_effect(model, SAMPLES, BRIEF)["roles"].values()
    means = DomainLoss(model, SAMPLES)()
    assert source["quantized"] == pytest.approx((5 * means[0] + 7 * means[1]) / 12, rel=1e-6)
    assert target["quantized"] == pytest.approx(means[3], rel=1e-6)
    assert source["measured"] == source["quantized"] - source["latent"] != 0
    other = noise_effect(build("relu", width=1.0, bits=3), SAMPLES, BRIEF)["roles"]["source"]
    assert other == pytest.approx(source, rel=1e-5)


def test_weights_come_back_after_an_exception():
    model = build("relu", width=1.0, mode="frozen", bits=3)
    before = state(model)

    def interrupt(step):
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        noise_effect(model, SAMPLES, BRIEF, on_step=interrupt)
    assert state(model) == before


def test_a_float_model_has_no_noise():
    plain = build_classifier("tiny", CLASSES, image_size=8, weights=None)
    assert noise_effect(plain, SAMPLES) == {"roles": {}}
    assert noise_effect(quantize(plain), SAMPLES) == {"roles": {}}


def test_roles_are_those_with_images():
    model = build("relu", width=1.0)
    result = noise_effect(model, SAMPLES[2:], BRIEF)
    assert list(result["roles"]) == ["target"]
    assert json.loads(json.dumps(result)) == result
    cut = noise_effect(model, SAMPLES, dataclasses.replace(BRIEF, images=4))
    assert [row["images"] for row in cut["roles"].values()] == [4, 4]
    with pytest.raises(UserError, match="neither a training image"):
        noise_effect(model, SAMPLES[2:3])
    with pytest.raises(UserError, match="draws must be at least 2"):
        NoiseEffectSettings(draws=1)


def test_uniform_noise_is_uniform_over_each_step():
    weights = quantized_weights(build("relu", width=1.0))
    draws = [uniform_noise(weights, (3, draw)) for draw in range(400)]
    for i, weight in enumerate(weights):
        in_steps = np.stack([draw[i] for draw in draws]) / weight.step_size
        assert in_steps.shape == (400, *weight.codes.shape)
        assert np.abs(in_steps).max() <= 0.5
        deviation = 1 / np.sqrt(12 * 400)
        assert np.abs(in_steps.mean(axis=0)).max() < 5 * deviation
        # The variance of a uniform number's square is 1 / 180.
        squares = (in_steps**2).mean(axis=0)
        assert np.abs(squares - 1 / 12).max() < 5 / np.sqrt(180 * 400)
        assert abs(np.corrcoef(in_steps.reshape(400, -1)[:, :2].T)[0, 1]) < 5 / np.sqrt(400)
    again = uniform_noise(weights, (3, 0))
    np.testing.assert_array_equal(flat(again), flat(draws[0]))
    assert not np.array_equal(flat(again), flat(draws[1]))
