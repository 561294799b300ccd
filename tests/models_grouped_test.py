"""Grouped convolution against float64 NumPy, through the quantizer, and in files."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from qtdog_tf.models import FastGroupedConv2D, grouped
from qtdog_tf.models.resnet import Variant, resnet
from qtdog_tf.quantization import quantize, start_quantization
from qtdog_tf.quantization.wrapper import quantize_wrappers
from tests.export_files import Files
from tests.export_models import CLASSES, SIZE, predict, quantized, softmax, spread

SMALL = Variant((1, 1), groups=4, group_width=2, width=8)
IMAGES = np.random.default_rng(0).normal(size=(2, 7, 6, 6)).astype(np.float32)


def convolve(images: np.ndarray, kernel: np.ndarray, groups: int, stride: int) -> np.ndarray:
    """Grouped convolution without padding, by its definition, float64."""
    images, (size, _, inside, out) = images.astype(np.float64), kernel.shape
    rows, columns = ((n - size) // stride + 1 for n in images.shape[1:3])
    result = np.zeros((len(images), rows, columns, out))
    for channel in range(out):
        first = channel // (out // groups) * inside
        for y, x in np.ndindex(rows, columns):
            patch = images[:, y * stride :, x * stride :, first : first + inside]
            products = patch[:, :size, :size] * kernel[..., channel]
            result[:, y, x, channel] = products.sum(axis=(1, 2, 3))
    return result


@pytest.mark.parametrize("native", [grouped._has_gradients("float32"), False])
def test_outputs_and_gradients_are_those_of_the_definition(
    native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grouped, "_has_gradients", lambda dtype: native)
    layer = FastGroupedConv2D(8, 3, 2, groups=2, bias_initializer="ones", activation="relu")
    images = tf.constant(IMAGES)
    layer.build(images.shape)
    kernel = layer.kernel.numpy().astype(np.float64)
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = layer(images)
    expected = convolve(IMAGES, kernel, 2, 2) + 1
    np.testing.assert_allclose(outputs, np.maximum(expected, 0), rtol=1e-5, atol=1e-5)
    of_images, of_kernel = tape.gradient(outputs, [images, layer.kernel.value])
    # Outputs are linear in each, so a derivative is what a unit of it adds where ReLU lets pass.
    passes = expected > 0
    for place in [(0, 1, 2, 3), (1, 4, 4, 0)]:
        unit = np.zeros(IMAGES.shape)
        unit[place] = 1
        derivative = convolve(unit, kernel, 2, 2)[passes].sum()
        assert of_images[place].numpy() == pytest.approx(derivative, rel=1e-4, abs=1e-5)
    for place in [(0, 2, 1, 3), (2, 0, 2, 7)]:
        unit = np.zeros(kernel.shape)
        unit[place] = 1
        derivative = convolve(IMAGES, unit, 2, 2)[passes].sum()
        assert of_kernel[place].numpy() == pytest.approx(derivative, rel=1e-4, abs=1e-5)


def test_each_output_channel_has_a_step_size_of_its_own() -> None:
    image = keras.Input((7, 6, 6))
    layer = FastGroupedConv2D(4, 3, groups=2, use_bias=False, name="conv")
    model = quantize(keras.Model(image, layer(image)), bits=4)
    (wrapper,) = quantize_wrappers(model)
    ((weight, _, variables),) = wrapper.quantized_weights
    kernel = weight.numpy().astype(np.float64) * [0.1, 1, 10, 100]
    weight.assign(kernel)
    start_quantization(model)
    steps = 2 * np.abs(kernel).mean(axis=(0, 1, 2)) / np.sqrt(7)
    np.testing.assert_allclose(variables["step_size"].numpy().ravel(), steps, rtol=1e-5)
    codes = np.rint(np.clip(kernel / steps, -8, 7))
    expected = convolve(IMAGES, codes * steps, 2, 1)
    slack = 1e-5 * np.abs(expected).max(axis=(0, 1, 2))
    assert (np.abs(model(IMAGES).numpy() - expected) <= slack).all()


def small_resnext(bits: int, narrow_range: bool | None) -> keras.Model:
    """A quantized ResNeXt of two blocks."""
    body = resnet("resnext", SIZE, variant=SMALL, freeze_batch_norm=False)
    keras.utils.set_random_seed(0)
    logits = keras.layers.Dense(CLASSES, name="head")(body.output)
    model = quantized(keras.Model(body.input, logits), bits=bits, narrow_range=narrow_range)
    return spread(model)


def test_an_int4_file_holds_the_codes_of_every_group(tmp_path: Path) -> None:
    model = small_resnext(4, narrow_range=True)
    file = Files(tmp_path).of("resnext", model, "int4")
    assert file.failed() == set()
    grouped_convs = [conv for conv in file.graph.convs if conv.groups == 4]
    assert [conv.kernel.shape[2] for conv in grouped_convs] == [2, 4]
    assert not any(conv.is_depthwise for conv in grouped_convs)
    expected = softmax(predict(model, file.pixels))
    assert np.abs(file.predict() - expected).mean() < 0.03
