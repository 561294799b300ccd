"""The faster 1x1 convolution against the layer it replaces."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from qtdog_tf.models import FastConv2D

CASES: list[dict[str, Any]] = [
    {"kernel_size": 1},
    {"kernel_size": 1, "use_bias": False, "activation": "relu6"},
    {"kernel_size": 1, "strides": 2},
    {"kernel_size": 3, "padding": "same"},
    {"kernel_size": 1, "dtype": "mixed_bfloat16"},
]


def _pair(case: dict[str, Any]) -> tuple[keras.Layer, keras.Layer, tf.Tensor]:
    """The layer, the one it replaces with the same weights, and an input."""
    layers = [kind(filters=7, **case) for kind in (FastConv2D, keras.layers.Conv2D)]
    rng = np.random.default_rng(0)
    for layer in layers:
        layer.build((None, 5, 4, 3))
    layers[0].set_weights([rng.normal(size=w.shape) for w in layers[0].weights])
    layers[1].set_weights(layers[0].get_weights())
    return (*layers, tf.constant(rng.normal(size=(2, 5, 4, 3)), tf.float32))


def _run(layer: keras.Layer, x: tf.Tensor, **kwargs: bool) -> list[tf.Tensor]:
    """Output and gradients."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, **kwargs)
        loss = tf.reduce_sum(tf.sin(tf.cast(y, "float32")))
    return [y, *tape.gradient(loss, [x, *(w.value for w in layer.trainable_weights)])]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("training", [True, False])
def test_outputs_and_gradients_are_those_of_the_base_class(
    case: dict[str, Any], training: bool
) -> None:
    fast, plain, x = _pair(case)
    tolerance = 0.05 if "dtype" in case else 1e-5
    for ours, theirs in zip(_run(fast, x, training=training), _run(plain, x), strict=True):
        assert ours.dtype == theirs.dtype
        ours, theirs = (np.asarray(tf.cast(value, "float32")) for value in (ours, theirs))
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("training", "op"), [(True, "MatMul"), (False, "Conv2D")])
def test_it_is_a_matrix_product_in_training_only(training: bool, op: str) -> None:
    fast, _, x = _pair({"kernel_size": 1})
    function = tf.function(lambda x: fast(x, training=training)).get_concrete_function(x)
    ops = {node.op for node in function.graph.as_graph_def().node} & {"MatMul", "Conv2D"}
    assert ops == {op}


def test_unknown_sizes_and_saving_work(tmp_path: Path) -> None:
    image = keras.Input((None, None, 3))
    model = keras.Model(image, FastConv2D(7, 1, name="conv")(image))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = tf.ones((2, 5, 4, 3))
    assert isinstance(loaded.get_layer("conv"), FastConv2D)
    np.testing.assert_array_equal(loaded(x, training=True), model(x))
