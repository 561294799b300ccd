"""The faster depthwise convolution against the layer it replaces."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from qtdog_tf.models.depthwise import FastDepthwiseConv2D, depthwise_conv2d

CASES = [
    # kernel, strides, padding, height, width, depth multiplier
    (5, 1, "same", 7, 6, 1),
    (5, 2, "same", 7, 6, 2),
    (5, 2, "same", 8, 9, 1),
    (5, 1, "valid", 7, 6, 1),
    (5, 2, "valid", 8, 9, 2),
    (3, 1, "same", 2, 2, 1),
    (3, 2, "same", 8, 8, 1),
    (5, 1, "same", 2, 1, 1),
]


def _pair(case: tuple, **kwargs: object) -> tuple[keras.Layer, keras.Layer, tf.Tensor]:
    """The layer, the one it replaces with the same weights, and an input."""
    kernel, strides, padding, height, width, multiplier = case
    layers = [
        kind(kernel, strides, padding, depth_multiplier=multiplier, **kwargs)
        for kind in (FastDepthwiseConv2D, keras.layers.DepthwiseConv2D)
    ]
    rng = np.random.default_rng(0)
    for layer in layers:
        layer.build((None, height, width, 3))
    layers[0].set_weights([rng.normal(size=w.shape) for w in layers[0].weights])
    layers[1].set_weights(layers[0].get_weights())
    return (*layers, tf.constant(rng.normal(size=(2, height, width, 3)), tf.float32))


def _gradients(layer: keras.Layer, x: tf.Tensor) -> list[tf.Tensor]:
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(tf.sin(layer(x)))
    return tape.gradient(loss, [x, *(w.value for w in layer.trainable_weights)])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("use_bias", [True, False])
def test_outputs_and_gradients_are_those_of_the_base_class(case: tuple, use_bias: bool) -> None:
    fast, plain, x = _pair(case, use_bias=use_bias, activation="relu6")
    np.testing.assert_allclose(fast(x), plain(x), rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(_gradients(fast, x), _gradients(plain, x), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_hessian_vector_products_are_those_of_the_base_class() -> None:
    fast, plain, x = _pair(CASES[1])
    products = []
    for layer in (fast, plain):
        kernel = layer.kernel.value
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                loss = tf.reduce_sum(tf.sin(layer(x)))
            gradient = inner.gradient(loss, kernel)
        products.append(outer.gradient(gradient, kernel, output_gradients=tf.ones_like(kernel)))
    assert np.abs(products[1]).max() > 1
    np.testing.assert_allclose(products[0], products[1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("jit_compile", [True, False])
def test_it_compiles(jit_compile: bool) -> None:
    fast, _, x = _pair(CASES[2])
    function = tf.function(lambda x: _gradients(fast, x), jit_compile=jit_compile)
    for compiled, eager in zip(function(x), _gradients(fast, x), strict=True):
        np.testing.assert_allclose(compiled, eager, rtol=1e-4, atol=1e-4)


def test_the_filter_gradient_takes_the_kernel_that_is_fast() -> None:
    """oneDNN refuses explicit padding: that is what the layer rests on."""

    @tf.function
    def gradient(x: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(w)
            y = depthwise_conv2d(x, w, 1, "SAME")
        return tape.gradient(y, w)

    graph = gradient.get_concrete_function(
        tf.TensorSpec([2, 8, 8, 3]), tf.TensorSpec([5, 5, 3, 1])
    ).graph
    (node,) = [n for n in graph.as_graph_def().node if n.op.endswith("BackpropFilter")]
    assert node.attr["padding"].s == b"EXPLICIT"
    assert list(node.attr["explicit_paddings"].list.i) == [0, 0, 2, 2, 2, 2, 0, 0]


def test_unknown_sizes_and_mixed_precision_work(tmp_path: Path) -> None:
    image = keras.Input((None, None, 3))
    layer = FastDepthwiseConv2D(5, padding="same", dtype="mixed_bfloat16", name="depthwise")
    model = keras.Model(image, layer(image))
    x = tf.ones((1, 6, 6, 3))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.get_layer("depthwise"), FastDepthwiseConv2D)
    assert loaded(x).dtype == tf.bfloat16
    np.testing.assert_array_equal(tf.cast(loaded(x), "float32"), tf.cast(model(x), "float32"))
    assert [g.dtype for g in _gradients(layer, x)] == [tf.float32] * 3
