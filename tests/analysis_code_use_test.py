"""Norms and codes of layers against counts by hand and against the quantization report."""

import json

import keras
import numpy as np
import pytest
from keras import layers

from qtdog_tf.analysis.code_use import code_use, quantization_off, quantized_weights
from qtdog_tf.analysis.directions import norm
from qtdog_tf.analysis.weights import dequantize, learned_weights
from qtdog_tf.ensemble import build_ensemble
from qtdog_tf.models import build_classifier
from qtdog_tf.quantization import (
    entropy_bits_per_weight,
    quantization_report,
    quantize,
    quantize_wrappers,
    start_quantization,
)


def build(bits=4, mode="train", seed=0, **options):
    model = build_classifier("tiny", 3, image_size=16, weights=None, seed=seed)
    model = quantize(model, bits=bits, **options)
    start_quantization(model, mode)
    return model


def state(model):
    return [(v.path, v.trainable, v.numpy().tobytes()) for v in model.variables]


def test_counts_by_hand():
    image = keras.Input((4, 4, 1))
    x = layers.Conv2D(1, (1, 5), use_bias=False, padding="same", name="conv")(image)
    x = layers.Dense(2, use_bias=True, name="head")(layers.Flatten()(x))
    model = quantize(keras.Model(image, x), bits=3)
    start_quantization(model)
    [wrapper] = quantize_wrappers(model)
    [(weight, _, variables)] = wrapper.quantized_weights
    # Codes -4 (clipped), 0, 1, 1, 2, of which the norm is 0.5 * sqrt(22).
    weight.assign(np.reshape([-9, 0.1, 0.4, 0.6, 1.1], weight.shape))
    variables["step_size"].assign(np.full((1, 1, 1, 1), 0.5))
    head = model.get_layer("head")
    head.kernel.assign(np.full((16, 2), 0.25))
    head.bias.assign([3, 4])
    assert code_use(model) == {
        "norm": pytest.approx(np.sqrt(22 / 4 + 32 / 16 + 25)),
        "layers": [
            {
                "name": "conv",
                "weights": 5,
                "norm": pytest.approx(np.sqrt(22) / 2),
                "bits": 3,
                "codes_used": 4,
                "codes_available": 8,
                "entropy": pytest.approx(3 / 5 * np.log2(5) + 2 / 5 * np.log2(5 / 2)),
                "density": [0.2, 0, 0, 0, 0.2, 0.4, 0.2, 0],
            },
            {
                "name": "head",
                "weights": 32,
                "norm": pytest.approx(np.sqrt(2)),
                "bits": None,
                "codes_used": None,
                "codes_available": None,
                "entropy": None,
                "density": [],
            },
        ],
    }


@pytest.mark.parametrize("mode", ["train", "frozen", "off", "frozen_float"])
@pytest.mark.parametrize("bits", [2, 7, 8])
def test_agrees_with_the_quantization_report(bits, mode):
    model = build(bits, mode)
    before = state(model)
    used = code_use(model)
    assert state(model) == before and {w.mode for w in quantize_wrappers(model)} == {mode}
    reports = quantization_report(model)
    assert len(used["layers"]) == len(reports) == 5
    for row, report in zip(used["layers"], reports, strict=True):
        expected = (report.name, report.weights, report.bits, report.codes or None)
        assert (row["name"], row["weights"], row["bits"], row["codes_used"]) == expected
    quantized = [row for row in used["layers"] if row["bits"]]
    assert len(quantized) == (4 if mode in ("train", "frozen") else 0)
    for row in quantized:
        assert len(row["density"]) == row["codes_available"] == 2**bits - (bits == 8)
        assert sum(row["density"]) == pytest.approx(1)
        assert np.count_nonzero(row["density"]) == row["codes_used"]
    if quantized:
        pairs = np.array([(row["entropy"], row["weights"]) for row in quantized])
        mean = np.average(pairs[:, 0], weights=pairs[:, 1])
        assert mean == pytest.approx(entropy_bits_per_weight(model))
    assert json.loads(json.dumps(used)) == used
    # The norm is the one that flatness moves away from.
    dequantize(model)
    assert used["norm"] == pytest.approx(norm([v.numpy() for v in learned_weights(model)]))


def test_members_of_an_ensemble_are_told_apart():
    ensemble = build_ensemble([build(3), build_classifier("tiny", 3, image_size=16, weights=None)])
    used = code_use(ensemble)["layers"]
    assert [row["name"] for row in used] == [r.name for r in quantization_report(ensemble)]
    assert len({row["name"] for row in used}) == len(used) == 10
    assert [row["bits"] for row in used] == [3, 3, 3, 3, None, None, None, None, None, None]
    assert len(quantized_weights(ensemble)) == 4


def test_a_layer_in_two_models_counts_once():
    image = keras.Input((8,))
    shared = layers.Dense(8, name="shared")
    inner = keras.Model(image, shared(image), name="inner")
    outer = keras.Model(image, shared(inner(image)))
    assert [row["name"] for row in code_use(outer)["layers"]] in (["inner/shared"], ["shared"])


@pytest.mark.parametrize("per_channel", [True, False])
def test_quantized_weights_are_what_the_model_computes_with(per_channel):
    model = build(3, per_channel=per_channel)
    found = quantized_weights(model)
    for weight, wrapper in zip(found, quantize_wrappers(model), strict=True):
        [(variable, quantizer, variables)] = wrapper.quantized_weights
        assert weight.variable is variable and weight.name == wrapper.layer.name
        assert weight.code_range == quantizer.code_range
        assert weight.value.dtype == np.float32
        np.testing.assert_array_equal(weight.value, quantizer(variable, False, variables))
    dequantize(model)
    assert quantized_weights(model) == []


def test_quantization_comes_back_after_an_exception():
    model = build(2, "frozen")
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    quantized, before = model(images, training=False), state(model)
    plain = build_classifier("tiny", 3, image_size=16, weights=None)

    def interrupted():
        with quantization_off(model):
            np.testing.assert_array_equal(model(images, training=False), plain(images))
            assert len(learned_weights(model)) == len(plain.trainable_variables)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    np.testing.assert_array_equal(model(images, training=False), quantized)
    assert state(model) == before
