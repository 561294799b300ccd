import keras
import numpy as np
import pytest

from qtdog_tf.errors import UserError
from qtdog_tf.export import export_tflite, open_file
from qtdog_tf.models import build_classifier
from qtdog_tf.quantization import quantize, start_quantization
from tests.models_synthetic import synthetic_image

CLASSES = ["cat", "dog", "owl"]


@pytest.fixture(scope="module")
def model():
    wrapped = quantize(build_classifier("tiny", 3, image_size=16, weights=None, seed=1), bits=7)
    start_quantization(wrapped)
    return wrapped


@pytest.fixture(scope="module")
def images():
    turned = [np.rot90(synthetic_image(16), k) for k in range(4)]
    return np.stack([*turned, *(255 - image for image in turned)])


def test_a_model_in_memory_becomes_a_file_that_says_the_same(model, images, tmp_path):
    output = tmp_path / "model.tflite"
    labels = np.zeros(len(images), np.int64)
    export = export_tflite(model, output, images, labels, CLASSES, min_agreement=0.5)
    assert export.passed, export.checks
    with open_file(output) as classifier:
        found = classifier.predict(images)
        assert classifier.classes == tuple(CLASSES)
    logits = model.predict(images, verbose=0)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.abs(found - expected).max() < 0.03
    with pytest.raises(UserError, match="exists"):
        export_tflite(model, output, images, labels, CLASSES)


def test_as_many_images_are_compared_as_asked(model, images, tmp_path):
    export = export_tflite(
        *(model, tmp_path / "model.tflite", images, np.zeros(len(images)), CLASSES),
        kind="float32",
        parity_images=3,
    )
    assert [agreement.images for agreement in export.agreements] == [3]


class Own(keras.Model):
    """A subclass, whose layers cannot be reached."""

    def call(self, inputs):
        return inputs


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        (Own(name="own"), "model 'own' is a subclass of keras.Model"),
        (keras.Sequential([keras.layers.Flatten()]), "does not know its input yet: begin it with"),
    ],
    ids=["a subclass", "not built"],
)
def test_models_that_cannot_be_read_are_refused(own, sentence, images, tmp_path):
    for kind in ("int8", "float32"):
        with pytest.raises(UserError, match=sentence):
            export_tflite(own, tmp_path / "a.tflite", images, np.zeros(8), CLASSES, kind=kind)


def test_another_number_of_classes_is_refused_before_anything_is_made(model, images, tmp_path):
    output = tmp_path / "new" / "model.tflite"
    with pytest.raises(UserError, match=r"gives numbers of shape \[3\] .* 2 classes are named"):
        export_tflite(model, output, images, np.zeros(len(images)), CLASSES[:2])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (np.zeros((2, 8, 8, 3)), np.zeros(2)),
        (np.zeros((0, 16, 16, 3)), np.zeros(0)),
        (np.zeros((2, 16, 16, 3)), np.zeros(3)),
    ],
    ids=["another size", "no image", "another number of labels"],
)
def test_images_that_do_not_fit_are_refused(model, images, labels, tmp_path):
    with pytest.raises(UserError, match=r"\[n, 16, 16, 3\] and labels"):
        export_tflite(model, tmp_path / "model.tflite", images, labels, CLASSES)


def test_images_that_were_scaled_already_are_refused(model, images, tmp_path):
    with pytest.raises(UserError, match="received floats of at most 1, which would be rounded"):
        export_tflite(model, tmp_path / "model.tflite", images / 255.0, np.zeros(8), CLASSES)
