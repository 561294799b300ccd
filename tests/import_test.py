"""Importing the package changes nothing for whoever imports it; cases run in new processes."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import qtdog_tf
from qtdog_tf import averaging, data, quantization, training
from qtdog_tf.quantization.annotate import quantize
from qtdog_tf.quantization.start import start_quantization
from qtdog_tf.training.optimizer import QuantizationOptimizer

ROOT = Path(__file__).parents[1]

# With TF_USE_LEGACY_KERAS=1 in the environment, `tf.keras` is tf_keras by the caller's own wish.
UNTOUCHED = """
import os
before = dict(os.environ)
import qtdog_tf
for name in qtdog_tf.__all__:
    assert getattr(qtdog_tf, name) is not None
assert dict(os.environ) == before
import keras, tensorflow as tf
legacy = before.get("TF_USE_LEGACY_KERAS") == "1"
import tf_keras
assert tf.keras.Model is (tf_keras if legacy else keras).Model
assert issubclass(qtdog_tf.QuantizeWrapper, keras.layers.Wrapper)
"""

TOUCHED = """
import os
import tensorflow as tf
model_class, before = tf.keras.Model, dict(os.environ)
import qtdog_tf
assert tf.keras.Model is model_class
assert dict(os.environ) == before
"""

LOADED = """
import sys
import keras, numpy as np
import qtdog_tf
registered = keras.saving.get_custom_objects().values()
assert set(sys.argv[4:]) <= {f"{value.__module__}.{value.__name__}" for value in registered}
model = keras.saving.load_model(sys.argv[1])
np.testing.assert_array_equal(model(np.load(sys.argv[2])), np.load(sys.argv[3]))
"""


def run(code, *arguments, warnings="error", **environment):
    """Runs Python code in a new process, in which a warning is an error."""
    command = [sys.executable, "-W", warnings, "-c", code, *map(str, arguments)]
    inherited = {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"}
    result = subprocess.run(
        command, cwd=ROOT, env={**inherited, **environment}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("environment", [{}, {"TF_USE_LEGACY_KERAS": "1"}])
def test_environment_and_tf_keras_are_left_alone(environment):
    run(UNTOUCHED, **environment)


def test_tf_keras_that_was_touched_before_stays_the_same():
    run(TOUCHED)


def test_a_model_is_loaded_without_a_custom_scope(tmp_path):
    image = keras.Input((8, 8, 3))
    x = keras.layers.DepthwiseConv2D(3)(keras.layers.Conv2D(4, 3)(image))
    model = quantize(keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(x))), bits=3)
    model.compile(QuantizationOptimizer(), loss="mse")
    start_quantization(model)
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "outputs.npy", model(images))
    files = (tmp_path / name for name in ("model.keras", "images.npy", "outputs.npy"))
    run(LOADED, *files, *registered_classes(), warnings="default")


def registered_classes():
    """Full names of the classes that stand in saved models. Keras imports no module by itself."""
    found = []
    for path in (ROOT / "qtdog_tf").rglob("*.py"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.parse(path.read_text()).body:
            decorators = [ast.unparse(d) for d in getattr(node, "decorator_list", [])]
            if any("register_keras_serializable" in decorator for decorator in decorators):
                found.append(f"{module}.{node.name}")
    assert len(found) >= 8
    return found


@pytest.mark.parametrize("package", [qtdog_tf, averaging, data, quantization, training])
def test_public_names(package):
    for name in package.__all__:
        assert getattr(package, name) is not None


def test_version_is_that_of_the_project():
    text = (ROOT / "pyproject.toml").read_text()
    assert qtdog_tf.__version__ in ("0+unknown", text.split('\nversion = "')[1].split('"')[0])
