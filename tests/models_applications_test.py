"""Networks of keras.applications: raw pixels in, frozen batch norm, stable names, plain errors."""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from qtdog_tf.algorithms.mixstyle_places import PLACES
from qtdog_tf.errors import UserError
from qtdog_tf.models import FrozenBatchNormalization, build_backbone
from qtdog_tf.models.applications import application_names, preprocessing_layers

PIXELS = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
# One of each kind: scaled to +-1; BGR less a mean; ImageNet's mean and deviation; inside already.
KINDS = {"MobileNetV2": 1, "VGG16": 2, "DenseNet121": 1, "MobileNetV3Small": 0}


def _preprocess(name: str, pixels: np.ndarray) -> np.ndarray:
    """What users of keras.applications call by hand."""
    module = sys.modules[getattr(keras.applications, name).__module__]
    return module.preprocess_input(pixels.copy())


@pytest.mark.parametrize("name", application_names())
def test_preprocessing_layers_do_what_preprocess_input_does(name: str) -> None:
    x = PIXELS
    for layer in preprocessing_layers(name):
        x = layer(x)
    np.testing.assert_allclose(x, _preprocess(name, PIXELS), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", KINDS)
def test_preprocessing_takes_no_more_layers_than_needed(name: str) -> None:
    assert len(preprocessing_layers(name)) == KINDS[name]


@pytest.fixture(scope="module")
def mobilenet() -> keras.Model:
    return build_backbone("applications/MobileNetV2", image_size=32, weights=None)


def test_features_of_raw_pixels_are_those_of_the_network_itself(mobilenet: keras.Model) -> None:
    plain = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg"
    )
    weights = [
        np.random.default_rng(i).uniform(0.5, 1, w.shape) for i, w in enumerate(plain.weights)
    ]
    weights = [w - 0.75 if w.ndim > 1 else w for w in weights]
    plain.set_weights(weights)
    before = mobilenet.get_weights()
    mobilenet.set_weights(weights)
    expected = np.asarray(plain(_preprocess("MobileNetV2", PIXELS), training=False))
    features = np.asarray(mobilenet(PIXELS, training=True))
    mobilenet.set_weights(before)
    assert expected.std() > 0.01
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-4)


def test_batch_norm_is_frozen_and_the_graph_flat(mobilenet: keras.Model) -> None:
    kinds = [type(layer) for layer in mobilenet.layers]
    assert kinds.count(FrozenBatchNormalization) == 52
    assert keras.layers.BatchNormalization not in kinds
    assert not any(issubclass(kind, keras.Model) for kind in kinds)
    assert mobilenet.input.name == "image"
    assert set(PLACES["applications/MobileNetV2"]) < {layer.name for layer in mobilenet.layers}


def test_names_and_weights_depend_on_the_arguments_alone(mobilenet: keras.Model) -> None:
    keras.layers.GlobalAveragePooling2D()  # takes a number from Keras' counter
    again = build_backbone("applications/MobileNetV2", image_size=32, weights=None)
    assert [x.name for x in again.layers] == [x.name for x in mobilenet.layers]
    assert again.layers[-1].name == "global_average_pooling2d"
    for a, b in zip(mobilenet.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_saved_model_loads_without_custom_scope(tmp_path: Path) -> None:
    model = build_backbone("applications/VGG16", image_size=32, weights=None)
    layers = model.layers[:6]
    model = keras.Model(model.input, layers[-1].output)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(PIXELS), model(PIXELS))


@pytest.mark.filterwarnings("ignore:Skipping")  # Keras, of the file that does not fit
@pytest.mark.parametrize("name", ["own.weights.h5", "own.keras"])
def test_weights_of_a_path_are_loaded_and_those_of_another_network_refused(
    name: str, tmp_path: Path
) -> None:
    plain = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg"
    )
    path = tmp_path / name
    (plain.save if name.endswith(".keras") else plain.save_weights)(path)
    loaded = build_backbone("applications/MobileNetV2", image_size=32, weights=path)
    for a, b in zip(plain.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(UserError, match="applications/MobileNet cannot be built"):
        build_backbone("applications/MobileNet", image_size=32, weights=path)
    path.write_bytes(b"no HDF5")
    with pytest.raises(UserError, match="applications/MobileNetV2 cannot be built"):
        build_backbone("applications/MobileNetV2", image_size=32, weights=path)


def test_a_failed_download_names_the_file_and_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*, weights: str, **_: object) -> None:
        assert weights == "imagenet"
        raise Exception("URL fetch failure on https://a.example/m/v2_no_top.h5: None -- [Errno -2]")

    offline.__module__ = keras.applications.MobileNetV2.__module__
    offline.__signature__ = __import__("inspect").signature(keras.applications.MobileNetV2)
    monkeypatch.setattr(keras.applications, "MobileNetV2", offline)
    monkeypatch.setenv("KERAS_HOME", "/somewhere")
    with pytest.raises(
        UserError, match="fetch https://a.example/m/v2_no_top.h5 .* under /somewhere/models"
    ):
        build_backbone("applications/MobileNetV2", image_size=96)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"name": "applications/MobilNetV2"}, "did you mean applications/MobileNetV2 or"),
        ({"name": "applications/Xception"}, "cannot be built for 32 px .*at least 71"),
        ({"weights": "absent.h5"}, "there is no weights file absent.h5"),
        ({"name": "applications/EfficientNetB0", "weights": __file__}, "'imagenet' or None"),
    ],
)
def test_bad_values_are_one_sentence(kwargs: dict[str, str], message: str) -> None:
    values = {"name": "applications/MobileNetV2", "weights": None, **kwargs}
    with pytest.raises(UserError, match=message):
        build_backbone(**values, image_size=32)
