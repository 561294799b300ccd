"""The per-layer report on models whose codes are known by hand."""

import keras
import numpy as np
import pytest
from keras import layers

from qtdog_tf.models import build_classifier
from qtdog_tf.quantization.annotate import all_but, quantize
from qtdog_tf.quantization.report import LayerReport, format_report, quantization_report
from qtdog_tf.quantization.start import start_quantization
from qtdog_tf.quantization.wrapper import quantize_wrappers


def small():
    """A quantized model of 3 bits, whose codes are set by hand; step sizes are 0.5."""
    image = keras.Input((4, 4, 3))
    x = layers.Conv2D(2, 1, name="conv")(image)
    x = layers.DepthwiseConv2D((1, 3), use_bias=False, name="depthwise")(x)
    model = keras.Model(image, layers.Dense(2, name="head")(layers.Flatten()(x)))
    model = quantize(model, bits=3)
    start_quantization(model)
    codes = [
        np.array([[1, 3], [1, 0], [-2, -4]]).reshape(1, 1, 3, 2),  # channels are columns
        np.array([[2, -1], [2, 0], [2, 1]]).reshape(1, 3, 2, 1),
    ]
    for wrapper, code in zip(quantize_wrappers(model), codes, strict=True):
        [(weight, _, variables)] = wrapper.quantized_weights
        weight.assign(0.5 * code)
        variables["step_size"].assign(0.5 + 0 * variables["step_size"])
    return model


def test_codes_and_bytes_by_hand():
    conv, depthwise, head = quantization_report(small())
    assert conv == LayerReport(
        name="conv", kind="Conv2D", weights=6, bits=3, channels=2,
        codes=5, channel_codes=3,  # -4 -2 0 1 3; the second channel has three
        packed_bytes=3 + 2 * 4, float_bytes=24,  # 18 bits in 3 bytes, two step sizes
        why_float="",
    )  # fmt: skip
    assert (depthwise.codes, depthwise.channel_codes, depthwise.channels) == (4, 3, 2)
    assert head == LayerReport(
        name="head", kind="Dense", weights=32, bits=None, channels=0, codes=0, channel_codes=0,
        packed_bytes=128, float_bytes=128,
        why_float="dense layers stay float under the rule 'convolutions'",
    )  # fmt: skip


def test_table():
    expected = """\
layer      kind              weights   bits  codes  a channel   KB  float KB  why float
conv       Conv2D                  6      3      5          3  0.0       0.0
depthwise  DepthwiseConv2D         6      3      4          3  0.0       0.0
head       Dense                  32  float                    0.1       0.1  dense layers stay \
float under the rule 'convolutions'
total      2 of 3 quantized       44                           0.1       0.2  27.3 % of these \
weights are quantized"""
    assert format_report(quantization_report(small())) == expected


def test_numbers_of_codes_never_exceed_the_bit_width():
    for bits in (2, 8):
        model = quantize(build_classifier("tiny", 3, image_size=16, weights=None), bits=bits)
        start_quantization(model)
        reports = [r for r in quantization_report(model) if r.bits is not None]
        assert len(reports) == 4
        for report in reports:
            assert report.bits == bits
            assert 1 < report.channel_codes <= report.codes <= 2**bits


@pytest.mark.parametrize("mode", ["off", "frozen_float"])
def test_before_the_start_everything_is_float(mode):
    model = small()
    start_quantization(model, mode)
    reports = quantization_report(model)
    assert [report.bits for report in reports] == [None] * 3
    assert reports[0].why_float == f"quantization is off (mode {mode!r})"
    assert reports[0].packed_bytes == reports[0].float_bytes == 24


def test_no_layer_with_a_kernel_is_left_out():
    part = keras.Sequential(
        [keras.Input((8, 8, 4)), layers.Conv2D(5, 3, name="conv"), layers.SeparableConv2D(3, 3)],
        name="part",
    )
    image = keras.Input((8, 8, 3))
    x = part(layers.Conv2D(4, 1, name="first")(image))
    x = layers.Reshape((4, 12))(x)
    x = layers.TimeDistributed(layers.Dense(6, name="inner"), name="steps")(x)
    x = layers.LayerNormalization()(layers.MultiHeadAttention(2, 3, name="attention")(x, x))
    model = keras.Model(image, layers.Dense(2, name="head")(layers.Flatten()(x)))
    model = quantize(model, all_but("head"), bits=5)
    start_quantization(model)

    reports = quantization_report(model)
    found = {report.name: report.why_float for report in reports}
    attention = "a part of 'attention' (MultiHeadAttention), which is not taken apart"
    separable = next(name for name in found if "separable" in name)
    assert found == {
        "first": "",
        "part/conv": "",
        separable: "SeparableConv2D is not a kind of layer that can be quantized",
        "steps/inner": "a part of 'steps' (TimeDistributed), which is not taken apart",
        **{f"attention/{name}": attention for name in ("query", "key", "value")},
        "attention/attention_output": attention,
        "head": "named as an exception",
    }
    kernels = [weight for weight in model.weights if "kernel" in weight.name]
    kernels = [weight for weight in kernels if "step_size" not in weight.name]
    assert sum(report.weights for report in reports) == sum(w.numpy().size for w in kernels)


def test_a_shared_layer_is_reported_once():
    image = keras.Input((8, 8, 3))
    conv = layers.Conv2D(3, 3, padding="same")
    model = quantize(keras.Model(image, conv(conv(image))))
    assert len(quantization_report(model)) == 1


def test_reasons_are_not_in_files(tmp_path):
    small().save(tmp_path / "model.keras")
    reports = quantization_report(keras.saving.load_model(tmp_path / "model.keras"))
    assert [report.bits for report in reports] == [3, 3, None]
    assert reports[2].why_float == "not annotated"
