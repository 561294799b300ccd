"""The loss that analyses measure, against NumPy in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from qtdog_tf.analysis.loss import (
    DomainLoss,
    RoleLoss,
    at_most,
    cross_entropy,
    image_losses,
    restored,
)
from qtdog_tf.analysis.samples import Sample
from qtdog_tf.errors import UserError

RNG = np.random.default_rng(0)
CLASSES = 3


def sample(domain, images, role="source", part="in"):
    pixels = RNG.integers(0, 256, (images, 2, 2, 3), np.uint8)
    labels = RNG.integers(0, CLASSES, images, np.int32)
    return Sample(domain, role, part, tuple(f"{domain}{i}" for i in range(images)), pixels, labels)


def build(dropout=0.0):
    """Softmax regression on pixels; its weights are a matrix [13, 3] in NumPy."""
    keras.utils.set_random_seed(1)
    image = keras.Input((2, 2, 3))
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 128, -1.0)(image))
    x = keras.layers.Dropout(dropout)(x)
    return keras.Model(image, keras.layers.Dense(CLASSES, name="head")(x))


def features(pixels):
    flat = pixels.reshape(len(pixels), -1) / 128.0 - 1.0
    return np.concatenate([flat, np.ones((len(pixels), 1))], axis=1)


def matrix(model):
    kernel, bias = (np.float64(v.numpy()) for v in model.trainable_variables)
    return np.concatenate([kernel, bias[np.newaxis]])


def losses(w, sample):
    logits = features(sample.pixels) @ w
    own = logits[np.arange(len(logits)), sample.labels]
    return np.log(np.exp(logits).sum(axis=1)) - own


@pytest.mark.parametrize("batch_size", [1, 4, 5, 12, 256])
def test_each_domain_has_its_mean(batch_size):
    model, samples = build(dropout=0.5), [sample("a", 5), sample("b", 1), sample("c", 6)]
    loss = DomainLoss(model, samples, batch_size)
    for _ in range(2):
        expected = [losses(matrix(model), s).mean() for s in samples]
        measured = loss()
        assert measured.dtype == np.float64 and measured.shape == (3,)
        np.testing.assert_allclose(measured, expected, rtol=2e-6)
        # What is assigned between two calls counts.
        for variable in model.trainable_variables:
            variable.assign(variable + RNG.normal(size=variable.shape))


def test_a_model_is_traced_once():
    traces = 0

    @keras.saving.register_keras_serializable("analysis_loss_test")
    class Counting(keras.layers.Layer):
        def call(self, x):
            nonlocal traces
            traces += 1
            return x

    model = build()
    model = keras.Model(model.input, Counting()(model.output))
    loss = DomainLoss(model, [sample("a", 5), sample("b", 6)], batch_size=4)
    traces = 0
    for _ in range(3):
        loss()
    assert traces == 1


def test_sums_are_in_float64():
    model, one = build(), sample("a", 4096)
    [mean] = DomainLoss(model, [one], batch_size=4096)()
    each = image_losses(model, tf.constant(one.pixels), tf.constant(one.labels)).numpy()
    assert mean == pytest.approx(np.float64(each).mean(), rel=1e-13)


def test_nothing_has_no_loss():
    for samples in ([], [sample("a", 3), sample("b", 0)]):
        with pytest.raises(ValueError, match="needs samples with images"):
            DomainLoss(build(), samples)


def test_cross_entropy_is_a_sum_with_two_derivatives():
    model, one = build(dropout=0.5), sample("a", 7)
    w, x = matrix(model), features(one.pixels)
    variables = model.trainable_variables
    probe = [RNG.normal(size=v.shape) for v in variables]
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            loss = cross_entropy(model, tf.constant(one.pixels), tf.constant(one.labels))
        gradients = inner.gradient(loss, variables)
        product = tf.add_n(
            [
                tf.reduce_sum(g * tf.cast(p, tf.float32))
                for g, p in zip(gradients, probe, strict=True)
            ]
        )
    hessian_times_probe = outer.gradient(product, variables)

    assert loss.dtype == tf.float32 and loss.shape == ()
    np.testing.assert_allclose(loss, losses(w, one).sum(), rtol=1e-6)
    p = np.exp(x @ w) / np.exp(x @ w).sum(axis=1, keepdims=True)
    gradient = x.T @ (p - np.eye(CLASSES)[one.labels])
    stacked = np.concatenate([gradients[0], gradients[1][np.newaxis]])
    np.testing.assert_allclose(stacked, gradient, rtol=1e-5, atol=1e-5)
    direction = np.concatenate([probe[0], probe[1][np.newaxis]])
    change = x @ direction
    second = x.T @ (p * (change - (p * change).sum(axis=1, keepdims=True)))
    stacked = np.concatenate([hessian_times_probe[0], hessian_times_probe[1][np.newaxis]])
    np.testing.assert_allclose(stacked, second, rtol=1e-4, atol=1e-4)


def test_a_role_is_the_mean_of_its_domains():
    model = build()
    target, a, b = sample("t", 9, "target", "all"), sample("a", 2), sample("b", 10)
    others = [sample("a", 3, part="out"), sample("n", 3, "new", "all")]
    loss = RoleLoss(model, [target, a, *others, b])
    assert loss.roles == ("source", "target")
    assert loss.images == {"source": 12, "target": 9}
    means = {s.domain: losses(matrix(model), s).mean() for s in (target, a, b)}
    expected = [(means["a"] + means["b"]) / 2, means["t"]]
    np.testing.assert_allclose(loss(), expected, rtol=2e-6)


def test_a_role_without_images_is_left_out():
    loss = RoleLoss(build(), [sample("t", 4, "target", "all"), sample("a", 3, part="out")])
    assert loss.roles == ("target",)
    assert loss.images == {"source": 0, "target": 4}
    assert loss().shape == (1,)
    with pytest.raises(UserError, match="neither a training image"):
        RoleLoss(build(), [sample("a", 3, part="out")])


def test_at_most_so_many_images_of_each_role():
    samples = [sample("a", 10), sample("b", 3), sample("a", 4, part="out")]
    samples.append(sample("t", 30, "target", "all"))
    chosen = at_most(samples, 12, seed=0)
    assert [(s.domain, s.part, len(s.labels)) for s in chosen] == [
        ("a", "in", 6),
        ("b", "in", 3),
        ("t", "all", 12),
    ]
    for cut, whole in zip(chosen, [samples[0], samples[1], samples[3]], strict=True):
        kept = [whole.paths.index(path) for path in cut.paths]
        assert kept == sorted(set(kept))
        np.testing.assert_array_equal(cut.pixels, whole.pixels[kept])
        np.testing.assert_array_equal(cut.labels, whole.labels[kept])
    assert [s.paths for s in at_most(samples, 12, seed=0)] == [s.paths for s in chosen]
    assert [s.paths for s in at_most(samples, 12, seed=1)] != [s.paths for s in chosen]
    assert [len(s.labels) for s in at_most(samples, 1, seed=0)] == [1, 1, 1]


def test_weights_come_back_after_an_exception():
    variables = build().trainable_variables
    before = [v.numpy().tobytes() for v in variables]

    def interrupted():
        with restored(variables) as values:
            assert [v.tobytes() for v in values] == before
            for variable in variables:
                variable.assign(variable * 1.1 + 3)
            # The copies do not follow.
            assert [v.tobytes() for v in values] == before
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [v.numpy().tobytes() for v in variables] == before
