"""EfficientNet-Lite0 against logits of another implementation (golden/make_model_goldens.py)."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from qtdog_tf.errors import UserError
from qtdog_tf.models import FastConv2D, FastDepthwiseConv2D, build_backbone
from qtdog_tf.models.efficientnet_lite import packaged_weights, torch_names
from qtdog_tf.models.torch_layout import load_torch_tensors
from qtdog_tf.models.torch_legacy import read_legacy_checkpoint
from tests.models_synthetic import synthetic_image

GOLDEN = json.loads(
    Path(__file__).with_name("golden").joinpath("efficientnet_lite0.json").read_text()
)


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    return read_legacy_checkpoint(packaged_weights())


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return build_backbone("efficientnet_lite0", image_size=224)


def test_logits_of_raw_pixels_are_those_of_torch(
    model: keras.Model, tensors: dict[str, np.ndarray]
) -> None:
    features = np.asarray(model(synthetic_image(224)[None], training=False))
    logits = features @ tensors["_fc.weight"].T + tensors["_fc.bias"]
    assert np.ptp(GOLDEN["logits"]) > 5
    np.testing.assert_allclose(logits[0], GOLDEN["logits"], atol=1e-4)


def test_convolutions_are_plain_layers_of_a_flat_model_without_bias(model: keras.Model) -> None:
    convs = [layer for layer in model.layers if "conv" in type(layer).__name__.lower()]
    assert {type(c) for c in convs} == {FastConv2D, FastDepthwiseConv2D}
    assert len(convs) == 1 + 1 + 2 + 15 * 3  # stem, top, the narrow first block, 15 wide ones
    assert all(not c.use_bias and c.activation is keras.activations.linear for c in convs)
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert sum(c.count_params() for c in convs) == 3_328_992


def test_every_layer_with_weights_is_loaded(model: keras.Model) -> None:
    assert {layer.name for layer in model.layers if layer.weights} == set(torch_names())


def test_weights_of_another_architecture_change_nothing(tensors: dict[str, np.ndarray]) -> None:
    model = build_backbone("efficientnet_lite0", image_size=32, weights=None)
    before = model.get_weights()
    missing = {k: v for k, v in tensors.items() if k != "_bn0.weight"}
    extra = {**tensors, "layer1.0.conv1.weight": np.zeros((1,))}
    shape = {**tensors, "_conv_head.weight": np.zeros((1280, 320, 3, 3))}
    damaged = {**tensors, "_bn1.bias": np.full(1280, np.nan)}
    for wrong, message in [
        (
            missing,
            "f.pth is a weights file of another architecture: it has no tensor '_bn0.weight'",
        ),
        (extra, "another architecture: it has a tensor 'layer1.0.conv1.weight' too many"),
        (shape, r"'_conv_head.weight' has shape \[1280, 320, 3, 3\], .* layer 'top_conv'"),
        (damaged, "damaged: tensor '_bn1.bias' holds NaN"),
    ]:
        with pytest.raises(UserError, match=message):
            load_torch_tensors(
                model, wrong, torch_names(), source="f.pth", ignore=("_fc.weight", "_fc.bias")
            )
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
