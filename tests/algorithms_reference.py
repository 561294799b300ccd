"""A network of two dense layers in NumPy float64, to compute what an algorithm should do."""

import itertools

import keras
import numpy as np
import tensorflow as tf

from qtdog_tf.algorithms import AlgorithmModel, Batch
from qtdog_tf.training.adam import Adam
from qtdog_tf.training.optimizer import QuantizationOptimizer

DOMAINS, PER_DOMAIN, CLASSES, RATE = 3, 4, 3, 1e-2
RNG = np.random.default_rng(1)
IMAGES = RNG.normal(size=(DOMAINS * PER_DOMAIN, 2, 1, 3))
LABELS = RNG.integers(0, CLASSES, DOMAINS * PER_DOMAIN)
PAIRS = list(itertools.combinations(range(DOMAINS), 2))


def build(algorithm):
    """The network as a compiled model, run eagerly."""
    keras.utils.set_random_seed(0)
    image = keras.Input((2, 1, 3), name="image")
    x = keras.layers.Dense(4, activation="tanh", name="body")(keras.layers.Flatten()(image))
    model = keras.Model(image, keras.layers.Dense(CLASSES, name="head")(x))
    model = AlgorithmModel(model.inputs, model.outputs, algorithm=algorithm, num_domains=DOMAINS)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(QuantizationOptimizer(Adam(RATE)), loss=loss, run_eagerly=True)
    model.optimizer.build(model.trainable_variables)
    return model


def batch(step=0):
    """The batch of a step."""
    return Batch(tf.constant(IMAGES, tf.float32), tf.constant(LABELS), tf.constant(step, tf.int64))


def weights(model):
    """Its weights as float64: kernel and bias of the body, kernel and bias of the head."""
    return [np.asarray(v.numpy(), np.float64) for v in model.trainable_variables]


def run(w, images=IMAGES):
    """Features and logits."""
    features = np.tanh(images.reshape(len(images), -1) @ w[0] + w[1])
    return features, features @ w[2] + w[3]


def softmax(logits):
    """Of each row."""
    exps = np.exp(logits - logits.max(1, keepdims=True))
    return exps / exps.sum(1, keepdims=True)


def entropy(logits, labels=LABELS):
    """Cross-entropy of each row."""
    return -np.log(softmax(logits)[np.arange(len(labels)), labels])


def domain(number):
    """The images of a domain: a slice."""
    return slice(number * PER_DOMAIN, (number + 1) * PER_DOMAIN)


def domain_losses(w):
    """The mean cross-entropy of each domain."""
    return entropy(run(w)[1]).reshape(DOMAINS, -1).mean(1)


def mean_loss(w, images=IMAGES, labels=LABELS):
    """The mean cross-entropy."""
    return entropy(run(w, images)[1], labels).mean()


def gradient(function, w, epsilon=1e-6):
    """The gradient of a scalar function of some arrays, by central differences."""
    result = [np.zeros_like(one) for one in w]
    for array, out in zip(w, result, strict=True):
        for index in np.ndindex(array.shape):
            kept = array[index]
            values = []
            for sign in (1, -1):
                array[index] = kept + sign * epsilon
                values.append(function(w))
            array[index] = kept
            out[index] = (values[0] - values[1]) / (2 * epsilon)
    return result


class ReferenceAdam:
    """PyTorch's Adam."""

    def __init__(self):
        self.count, self.m, self.v = 0, 0.0, 0.0

    def update(self, w, gradients):
        """The new weights."""
        self.count += 1
        flat = np.concatenate([g.ravel() for g in gradients])
        self.m = 0.9 * self.m + 0.1 * flat
        self.v = 0.999 * self.v + 0.001 * flat**2
        mean, square = self.m / (1 - 0.9**self.count), self.v / (1 - 0.999**self.count)
        move = RATE * mean / (np.sqrt(square) + 1e-8)
        ends = np.cumsum([g.size for g in gradients])
        parts = np.split(move, ends[:-1])
        return [a - p.reshape(a.shape) for a, p in zip(w, parts, strict=True)]


def assert_close(ours, theirs, tolerance=2e-4):
    """Arrays agree, by the largest element of each."""
    for one, other in zip(ours, theirs, strict=True):
        one, other = np.asarray(one), np.asarray(other)
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * np.abs(other).max() + 1e-7)
