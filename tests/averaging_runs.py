"""A small `fit` that uses averages as a trainer does, and records what they average."""

import keras
import numpy as np

from qtdog_tf.quantization.annotate import quantize
from qtdog_tf.quantization.start import is_quantized, start_quantization
from qtdog_tf.records import Evaluation, Score
from qtdog_tf.training.adam import Adam
from qtdog_tf.training.optimizer import QuantizationOptimizer

STEPS, EVERY, START = 24, 4, 8
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(2 * STEPS, 6, 6, 2)).astype("float32")
LABELS = RNG.integers(0, 2, 2 * STEPS).astype("int32")


def build(averages, **settings):
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 2))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(3, 3)(image))
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    model = quantize(model, bits=3)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(QuantizationOptimizer(Adam(0.01), averages=averages), loss=loss, **settings)
    model.optimizer.build(model.trainable_variables)
    return model


def evaluation(step, loss):
    return Evaluation(step, "raw", step >= START, {"a": {"out": Score(0.5, loss, 8)}}, {})


class Trainer(keras.callbacks.Callback):
    """Does what a trainer does with averages, and records the weights after every update."""

    def __init__(self, losses, start=START, every=EVERY):
        super().__init__()
        self.losses, self.start, self.every = list(losses), start, every
        self.history = []

    def values(self):
        return [np.array(v.numpy()) for v in self.variables]

    def on_train_begin(self, logs=None):
        self.variables = list(self.model.trainable_variables)
        self.averages = self.model.optimizer.averages

    def on_train_batch_begin(self, batch, logs=None):
        if self.model.optimizer.iterations.numpy() == self.start and not is_quantized(self.model):
            start_quantization(self.model)
            for average in self.averages:
                average.restart(self.start)

    def on_train_batch_end(self, batch, logs=None):
        self.history.append(self.values())
        step = int(self.model.optimizer.iterations.numpy()) - 1
        if step % self.every == self.every - 1 and self.losses:
            loss = self.losses.pop(0)
            for average in self.averages:
                average.evaluated(evaluation(step, loss))


def fit(averages, losses=(), start=START, every=EVERY, **settings):
    model, trainer = build(averages, **settings), Trainer(losses, start, every)
    model.fit(IMAGES, LABELS, batch_size=2, shuffle=False, verbose=0, callbacks=[trainer])
    return model, trainer


def mean(history):
    columns = zip(*history, strict=True)
    return [np.mean(np.stack(values).astype("float64"), axis=0) for values in columns]


def assert_close(ours, theirs):
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(np.asarray(our), their, rtol=1e-5, atol=1e-7)


def assert_equal(ours, theirs):
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(np.asarray(our), np.asarray(their))
