"""ResNets against torchvision's tensors and features (golden/make_model_goldens.py)."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

from qtdog_tf.errors import UserError
from qtdog_tf.models import build_backbone
from tests.models_synthetic import synthetic_image, synthetic_tensor

FOLDER = Path(__file__).with_name("golden")


def _golden(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text())


def _weights_file(folder: Path, name: str, **changes: np.ndarray | None) -> Path:
    """A file with torchvision's tensors, some of them changed or (None) left out."""
    tensors = {key: synthetic_tensor(key, shape) for key, shape in _golden(name)["tensors"].items()}
    tensors = {k: v for k, v in {**tensors, **changes}.items() if v is not None}
    save_file(tensors, folder / "weights.safetensors")
    return folder / "weights.safetensors"


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d"])
def test_features_of_raw_pixels_are_those_of_torchvision(name: str, tmp_path: Path) -> None:
    model = build_backbone(name, image_size=72, weights=_weights_file(tmp_path, name))
    features = np.asarray(model(synthetic_image(72)[None], training=True))[0]
    expected = np.asarray(_golden(name)["features"])
    assert expected.std() > 0.1 * expected.mean() > 0
    np.testing.assert_allclose(features[:256], expected, rtol=1e-3, atol=1e-5 * expected.max())


def test_resnet50_counts_are_those_of_the_paper() -> None:
    model = build_backbone("resnet50", image_size=32, weights=None)
    convs = [layer for layer in model.layers if type(layer) is keras.layers.Conv2D]
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert len(convs) == 53
    assert sum(conv.count_params() for conv in convs) == 23_454_912
    assert sum(norm.gamma.shape[0] for norm in norms) == 26_560
    assert model.output.shape == (None, 2048)
    assert all(norm.epsilon == 1e-5 for norm in norms)
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)


def test_weights_of_another_architecture_are_named(tmp_path: Path) -> None:
    path = _weights_file(tmp_path, "resnet18")
    with pytest.raises(
        UserError, match="another architecture: it has no tensor 'layer1.0.bn3.bias'"
    ):
        build_backbone("resnet50", image_size=32, weights=path)


def test_a_wrong_shape_is_named(tmp_path: Path) -> None:
    path = _weights_file(tmp_path, "resnet18", **{"bn1.bias": np.zeros(32, np.float32)})
    with pytest.raises(UserError, match=r"'bn1.bias' has shape \[32\].* layer 'stem_bn'"):
        build_backbone("resnet18", image_size=32, weights=path)


def test_a_file_without_classifier_is_enough(tmp_path: Path) -> None:
    path = _weights_file(tmp_path, "resnet18", **{"fc.weight": None, "fc.bias": None})
    model = build_backbone("resnet18", image_size=32, weights=path)
    expected = synthetic_tensor("conv1.weight", (64, 3, 7, 7)).transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(model.get_layer("stem_conv").get_weights()[0], expected)


def test_imagenet_weights_are_to_be_handed_in() -> None:
    with pytest.raises(UserError, match="hand in weights=<path> .*resnet50-0676ba61.pth"):
        build_backbone("resnet50", image_size=32)
