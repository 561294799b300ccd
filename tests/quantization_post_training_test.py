"""Layers as matrix products, their Hessians, and whole models quantized after training."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from qtdog_tf.errors import UserError
from qtdog_tf.models.depthwise import FastDepthwiseConv2D
from qtdog_tf.models.pointwise import FastConv2D
from qtdog_tf.quantization.annotate import quantize
from qtdog_tf.quantization.hessians import input_hessians
from qtdog_tf.quantization.kernel_rows import from_rows, input_columns, to_rows
from qtdog_tf.quantization.lsq import CodeRange
from qtdog_tf.quantization.optimal_brain import inverse_hessian, quantize_rows
from qtdog_tf.quantization.post_training import quantize_after_training, wrap_anew
from qtdog_tf.quantization.post_training_settings import PostTrainingSettings
from qtdog_tf.quantization.round_to_nearest import best_step_size
from qtdog_tf.quantization.start import start_quantization
from qtdog_tf.quantization.wrapper import quantize_wrappers

RNG = np.random.default_rng(0)
INPUT = RNG.normal(size=(3, 9, 8, 4)).astype("float32")
IMAGES = RNG.integers(0, 256, (40, 8, 8, 3)).astype("uint8")

LAYERS = {
    "conv": keras.layers.Conv2D(6, (3, 2), use_bias=False),
    "strided": keras.layers.Conv2D(6, 3, 2, "same", use_bias=False),
    "dilated": keras.layers.Conv2D(2, 3, dilation_rate=2, padding="same", use_bias=False),
    "grouped": keras.layers.Conv2D(6, 3, groups=2, use_bias=False),
    "pointwise": FastConv2D(5, 1, use_bias=False),
    "depthwise": FastDepthwiseConv2D(5, 2, "same", depth_multiplier=2, use_bias=False),
    "dense": keras.layers.Dense(5, use_bias=False),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_rows_times_columns_are_the_outputs(kind: str) -> None:
    layer = LAYERS[kind]
    expected = layer(INPUT).numpy()
    kernel = layer.weights[0].numpy()
    rows, columns = to_rows(layer, kernel), input_columns(layer, INPUT).numpy()
    np.testing.assert_array_equal(from_rows(rows, kernel.shape), kernel)
    # [groups, samples, rows] to channels last, group by group.
    outputs = (columns @ rows.transpose(0, 2, 1)).transpose(1, 0, 2).reshape(expected.shape)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)
    # One value for each output channel, as step sizes have them.
    channels = (1, 1, *kernel.shape[2:]) if kind == "depthwise" else kernel.shape[-1:]
    largest = np.abs(kernel).max(tuple(range(2 if kind == "depthwise" else kernel.ndim - 1)))
    np.testing.assert_array_equal(
        from_rows(np.abs(rows).max(axis=2, keepdims=True), channels).ravel(), largest.ravel()
    )


def make_model() -> keras.Model:
    """Everything that can be quantized, a nested model, and a head."""
    keras.utils.set_random_seed(3)
    inner_input = keras.Input((8, 8, 6))
    inner = keras.Model(
        inner_input,
        keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise")(inner_input),
        name="inner",
    )
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, padding="same", name="stem")(
        keras.layers.Rescaling(1 / 64)(image)
    )
    x = keras.layers.ReLU()(inner(keras.layers.ReLU()(x)))
    x = keras.layers.Conv2D(4, 3, groups=2, name="grouped")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(5, name="hidden")(x)
    return keras.Model(image, keras.layers.Dense(3, name="head")(x))


def test_hessians_are_those_of_the_inputs_of_each_layer() -> None:
    model = quantize(make_model(), bits=4)
    wrappers = quantize_wrappers(model)
    images = IMAGES.astype("float32")
    found = input_hessians(model, wrappers, [images[:30], images[30:]])
    stem = wrappers[0]
    columns = input_columns(stem.layer, images / 64).numpy().astype("float64")[0]
    np.testing.assert_allclose(found[0][0], 2 * columns.T @ columns / len(columns), rtol=1e-5)
    assert [h.shape for h in found] == [(1, 27, 27), (6, 9, 9), (2, 27, 27)]
    # The model is what it was, also when it fails on the way.
    assert "call" not in vars(stem)
    with pytest.raises(ValueError, match="expected shape"):
        input_hessians(model, wrappers, [images[:, :4]])
    assert all("call" not in vars(wrapper) for wrapper in wrappers)


@pytest.mark.parametrize("method", ["rtn", "obc"])
@pytest.mark.parametrize("bits", [3, 8])
def test_the_result_is_an_ordinary_quantized_model_of_exact_codes(
    method: str, bits: int, tmp_path
) -> None:
    model = quantize(make_model(), bits=7)
    before = [variable.numpy() for variable in model.variables]
    settings = PostTrainingSettings(method=method, bits=bits)
    quantized = quantize_after_training(model, settings, IMAGES)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    path = tmp_path / "model.keras"
    quantized.save(path)
    loaded = keras.saving.load_model(path)
    wrappers = quantize_wrappers(loaded)
    assert [w.layer.name for w in wrappers][::2] == ["stem", "grouped"] and len(wrappers) == 3
    for wrapper in wrappers:
        [(weight, quantizer, variables)] = wrapper.quantized_weights
        assert (wrapper.mode, quantizer.bits) == ("train", bits)
        codes = quantizer.codes(weight, variables).numpy()
        # Latent weights on the lattice: code times step size, to the last bit.
        lattice = variables["step_size"].numpy() * codes.astype("float32")
        np.testing.assert_array_equal(weight.numpy(), lattice)
        np.testing.assert_array_equal(quantizer(weight, False, variables), lattice)
    # Head, hidden layer and biases are those of the float model.
    for name in ("hidden", "head"):
        for mine, theirs in zip(
            loaded.get_layer(name).weights, model.get_layer(name).weights, strict=True
        ):
            np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


@pytest.mark.parametrize("method", ["rtn", "obc"])
def test_codes_are_those_of_the_arithmetic(method: str) -> None:
    model = quantize(make_model(), bits=7)
    settings = PostTrainingSettings(method=method, bits=3, dampening=0.05)
    quantized = quantize_after_training(model, settings, IMAGES)
    columns = (
        input_columns(model.layers[2].layer, IMAGES.astype("float32") / 64)
        .numpy()
        .astype("float64")[0]
    )
    kernel = model.layers[2].layer.kernel.numpy().astype("float64")
    rows = kernel.reshape(27, 6).T
    [(weight, quantizer, variables)] = quantize_wrappers(quantized)[0].quantized_weights
    step_size = best_step_size(rows, CodeRange(3))
    np.testing.assert_allclose(variables["step_size"].numpy().ravel(), step_size, rtol=1e-6)
    step_size = step_size.astype("float32").astype("float64")
    expected = np.rint(rows / step_size[:, None]).clip(-4, 3)
    if method == "obc":
        inverse = inverse_hessian(columns.T @ columns, 0.05)
        nearest, expected = expected, quantize_rows(rows, inverse, step_size, CodeRange(3))
        assert np.any(nearest != expected)
    codes = quantizer.codes(weight, variables).numpy().reshape(27, 6).T
    np.testing.assert_array_equal(codes, expected)


def test_obc_keeps_the_outputs_better_than_rounding() -> None:
    model = quantize(make_model(), bits=7)
    images = IMAGES.astype("float32")
    exact = model(images).numpy()
    errors = [
        np.abs(quantize_after_training(model, settings, IMAGES)(images).numpy() - exact).mean()
        for settings in (
            PostTrainingSettings(method="rtn", bits=3),
            PostTrainingSettings(method="obc", bits=3),
        )
    ]
    assert errors[1] < 0.7 * errors[0], errors


def test_what_training_left_float_stays_float() -> None:
    dense_too = quantize(make_model(), lambda layer: "" if layer.name == "head" else None, bits=7)
    names = [w.layer.name for w in quantize_wrappers(wrap_anew(dense_too, 4, None))]
    assert names == [w.layer.name for w in quantize_wrappers(dense_too)] and "hidden" in names
    # A model that was never wrapped gets its convolutions quantized.
    plain = wrap_anew(make_model(), 4, True)
    assert [w.layer.name for w in quantize_wrappers(plain)] == [n for n in names if n != "hidden"]
    assert quantize_wrappers(plain)[0].quantize_config.quantizer.code_range == CodeRange(4, True)
    start_quantization(plain)
    assert np.isfinite(plain(tf.zeros([1, 8, 8, 3]))).all()


def test_what_cannot_be_is_refused() -> None:
    model = quantize(make_model(), bits=7)
    with pytest.raises(ValueError, match="OBC needs calibration images"):
        quantize_after_training(model, PostTrainingSettings(method="obc"))
    with pytest.raises(UserError, match="bits must be at most 8; received 9"):
        PostTrainingSettings(bits=9)
    with pytest.raises(UserError, match="method must be one of rtn, obc; received 'adaround'"):
        PostTrainingSettings(method="adaround")
