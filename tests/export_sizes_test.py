"""Sizes of a file against counts by hand."""

import zlib
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from qtdog_tf.export.graph.fold import fold
from qtdog_tf.export.graph.lower import lower
from qtdog_tf.export.tflite.sizes import Sizes, measure_sizes
from qtdog_tf.quantization import all_but, quantize, start_quantization
from qtdog_tf.quantization.size import entropy_bits_per_weight
from qtdog_tf.quantization.wrapper import quantize_wrappers
from tests.export_models import SIZE, shared_tiny


def small_model(**settings) -> keras.Model:
    """2 * 1 * 4 codes, a norm of 4 channels, and a head of 4 * 3 + 3 weights."""
    image = keras.Input((SIZE, SIZE, 1))
    x = layers.Conv2D(4, (2, 1), use_bias=False, name="conv")(image)
    x = layers.GlobalAveragePooling2D()(layers.BatchNormalization(name="norm")(x))
    model = keras.Model(image, layers.Dense(3, name="head")(x))
    model = quantize(model, all_but("head"), **settings)
    start_quantization(model)
    return model


def measured(model: keras.Model, folder: Path, contents: bytes = b"") -> Sizes:
    path = folder / "model.tflite"
    path.write_bytes(contents)
    return measure_sizes(path, fold(lower(model)), model)


def test_sizes_by_hand(tmp_path: Path) -> None:
    contents = b"codes " * 1000
    sizes = measured(small_model(bits=3), tmp_path, contents)
    assert sizes.bytes == 6000
    assert sizes.deflated_bytes == len(zlib.compress(contents, 9)) < 100
    assert sizes.bits == 3
    assert sizes.paper_ratio == pytest.approx(32 / 3)
    assert sizes.float_bytes == 4 * (8 + 16 + 15)
    # 8 codes of 3 bits are 3 bytes; beside them step sizes, norm and head.
    assert sizes.packed_bytes == 3 + 4 * (4 + 16 + 15)
    assert sizes.packed_ratio == pytest.approx(156 / 143)
    # Of the norm, one bias a channel is left.
    assert sizes.folded_packed_bytes == 3 + 4 * (4 + 4 + 15)
    assert sizes.folded_ratio == pytest.approx(156 / 95)


def test_entropy_of_the_learned_codes(tmp_path: Path) -> None:
    model = small_model(bits=4)
    [wrapper] = quantize_wrappers(model)
    [(weight, _, variables)] = wrapper.quantized_weights
    variables["step_size"].assign(np.ones((1, 1, 1, 4)))
    weight.assign(np.reshape([1, 1, 1, 1, 0, 0, 2, 3], weight.shape))
    # Shares of a half, a quarter and two eighths.
    assert measured(model, tmp_path).entropy_bits == pytest.approx(1.75)


def test_entropy_is_that_of_the_model_before_norms_are_folded(tmp_path: Path) -> None:
    # Signs that a norm flips can move it a little.
    model = shared_tiny()
    before = entropy_bits_per_weight(model)
    sizes = measured(model, tmp_path)
    assert sizes.entropy_bits == pytest.approx(before, abs=0.15)
    assert 2 < sizes.entropy_bits < sizes.bits == 7


def test_a_float_model_has_no_codes(tmp_path: Path) -> None:
    image = keras.Input((SIZE, SIZE, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(2, 1)(image))
    sizes = measured(keras.Model(image, x), tmp_path, b"x")
    assert (sizes.entropy_bits, sizes.bits, sizes.paper_ratio) == (None, 32, 1.0)
    assert sizes.packed_bytes == sizes.folded_packed_bytes == sizes.float_bytes == 4 * 8
    assert sizes.packed_ratio == sizes.folded_ratio == 1.0
