"""A classifier of a few layers for tests of algorithms, and batches for it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from qtdog_tf.algorithms import AlgorithmModel
from qtdog_tf.algorithms.mixstyle_places import insert_mixstyle
from qtdog_tf.averaging.simple_moving_average import SimpleMovingAverage
from qtdog_tf.quantization.annotate import quantize
from qtdog_tf.training.adam import Adam
from qtdog_tf.training.optimizer import QuantizationOptimizer

DOMAINS, PER_DOMAIN, SIZE, CLASSES, STEPS = 3, 4, 6, 3, 4
RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(-1, 1, (STEPS, DOMAINS * PER_DOMAIN, SIZE, SIZE, 3)).astype("float32")
LABELS = RNG.integers(0, CLASSES, (STEPS, DOMAINS * PER_DOMAIN)).astype("int32")
DOMAIN = np.repeat(np.arange(DOMAINS), PER_DOMAIN).astype("int32")


@pytest.fixture(autouse=True, scope="module")
def determinism():
    """Repeats bit for bit."""
    tf.config.experimental.enable_op_determinism()


def small_classifier(dropout=0.3, policy="float32"):
    """Convolution, BatchNorm that learns its statistics, convolution, pooling, dropout, head."""
    keras.utils.set_random_seed(0)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        image = keras.Input((SIZE, SIZE, 3), name="image")
        x = keras.layers.Conv2D(4, 3, use_bias=False, name="stem")(image)
        x = keras.layers.BatchNormalization(name="norm")(x)
        # Not ReLU, which turns NaN into 0 on CPUs.
        x = keras.layers.Conv2D(5, 3, activation="tanh", name="top")(x)
        x = keras.layers.GlobalAveragePooling2D()(x)
        if dropout:
            x = keras.layers.Dropout(dropout, seed=1)(x)
        logits = keras.layers.Dense(CLASSES, dtype="float32", name="head")(x)
        return keras.Model(image, logits)
    finally:
        keras.config.set_dtype_policy(before)


def build(algorithm, num_domains=DOMAINS, policy="float32", classifier=None, **compiling):
    """The classifier wrapped for quantization and compiled for an algorithm."""
    model = classifier or small_classifier(policy=policy)
    if algorithm.name == "mixstyle":
        model = insert_mixstyle(model, ["norm"], probability=0.9)
    model = quantize(model, bits=4)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = AlgorithmModel(
            model.inputs, model.outputs, algorithm=algorithm, num_domains=num_domains
        )
    finally:
        keras.config.set_dtype_policy(before)
    model.compile(
        QuantizationOptimizer(Adam(1e-2), averages=[SimpleMovingAverage(2)]),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
        **compiling,
    )
    model.optimizer.build(model.trainable_variables)
    return model


def batches(start=0, stop=STEPS, images=IMAGES, labels=LABELS):
    """Batches of steps `start` to `stop` - 1, with their domains."""

    def example(images, labels):
        return {"image": images, "domain": DOMAIN}, labels

    return tf.data.Dataset.from_tensor_slices((images[start:stop], labels[start:stop])).map(example)


def fit(model, start=0, stop=STEPS, **kwargs):
    """Trains; returns what was logged."""
    history = model.fit(batches(start, stop, **kwargs), verbose=0, shuffle=False)
    return {name: values[0] for name, values in history.history.items()}


def assert_same_state(ours, theirs):
    """Two captured states are equal to the last bit."""
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], name)
