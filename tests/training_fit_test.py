"""The optimizer inside `fit`: files, mixed precision, XLA, several devices."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from qtdog_tf.averaging.simple_moving_average import SimpleMovingAverage
from qtdog_tf.quantization.annotate import quantize
from qtdog_tf.quantization.quantizer import is_step_size
from qtdog_tf.quantization.start import is_quantized
from qtdog_tf.training.adam import Adam
from qtdog_tf.training.callbacks import StartQuantization
from qtdog_tf.training.optimizer import QuantizationOptimizer

ROOT = Path(__file__).parents[1]
STEPS, BATCH, START = 8, 4, 3
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(STEPS * BATCH, 8, 8, 3)).astype("float32")
LABELS = RNG.integers(0, 3, STEPS * BATCH).astype("int32")


def build(policy="float32", **settings):
    """A small quantizable network, compiled; all of it under a precision policy."""
    keras.utils.set_random_seed(0)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        image = keras.Input((8, 8, 3))
        x = keras.layers.Conv2D(4, 3, activation="relu")(image)
        x = keras.layers.GlobalAveragePooling2D()(keras.layers.DepthwiseConv2D(3)(x))
        logits = keras.layers.Dense(3, dtype="float32")(x)
        model = quantize(keras.Model(image, logits), bits=4)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        optimizer = QuantizationOptimizer(Adam(1e-3), averages=[SimpleMovingAverage(2)])
        model.compile(optimizer, loss=loss, **settings)
    finally:
        keras.config.set_dtype_policy(before)
    return model


def fit(model, start=START):
    history = model.fit(
        IMAGES, LABELS, BATCH, shuffle=False, verbose=0, callbacks=[StartQuantization(start)]
    )
    return history.history["loss"][0]


def step_sizes(model):
    return [np.array(v.numpy()) for v in model.weights if is_step_size(v)]


def everything(model):
    """All weights and all optimizer state."""
    optimizer = model.optimizer
    variables = [
        *model.weights,
        *optimizer.variables,
        *optimizer.optimizer.variables,
        *optimizer.step_size_optimizer.variables,
    ]
    return [np.array(variable.numpy()) for variable in variables]


def test_a_model_that_was_saved_and_loaded_trains_on_bit_for_bit(tmp_path):
    model = build()
    fit(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert is_quantized(loaded)
    for ours, theirs in zip(everything(loaded), everything(model), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    losses = [fit(one) for one in (model, loaded)]
    assert losses[0] == losses[1]
    for ours, theirs in zip(everything(loaded), everything(model), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert loaded.optimizer.step_size_optimizer.iterations.numpy() == 2 * STEPS - START


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    model = build(policy)
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")
    loss = fit(model)
    assert loss == pytest.approx(fit(build()), rel=0.02)
    assert all(v.dtype == "float32" for v in model.trainable_variables)
    for size in step_sizes(model):
        assert np.all((size > 0) & (size < 1))
    optimizer = model.optimizer.inner_optimizer if scaled else model.optimizer
    assert optimizer.step_size_optimizer.iterations.numpy() == STEPS - START


def test_compiled_by_xla_it_trains_alike():
    plain, jitted = build(jit_compile=False), build(jit_compile=True)
    assert fit(plain) == pytest.approx(fit(jitted), rel=1e-5)
    for ours, theirs in zip(jitted.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_several_steps_an_execution():
    plain, grouped = build(), build(steps_per_execution=4)
    fit(plain, start=4), fit(grouped, start=4)
    for ours, theirs in zip(everything(grouped), everything(plain), strict=True):
        np.testing.assert_array_equal(ours, theirs)


# Two replicas of half a batch each, on two virtual processors: a process of their own, since
# devices can be divided only before TensorFlow starts.
MIRRORED = """
import sys
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
sys.path[:0] = ["tests"]
import keras
import training_fit_test as case
one = case.build()
single = case.fit(one)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    two = case.build()
    mirrored = case.fit(two)
assert strategy.num_replicas_in_sync == 2
np.testing.assert_allclose(mirrored, single, rtol=1e-5)
for ours, theirs in zip(case.everything(two), case.everything(one), strict=True):
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)
for variable in [*two.trainable_variables, *two.optimizer.averages[0].shadows]:
    first, second = strategy.experimental_local_results(variable.value)
    np.testing.assert_array_equal(first, second)
print("replicas agree")
"""


def test_two_replicas_train_as_one_device():
    result = subprocess.run(
        [sys.executable, "-c", MIRRORED],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert "replicas agree" in result.stdout, result.stderr[-3000:]
