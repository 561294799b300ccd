"""Running .tflite files: the numbers of each type, what is refused, and that nothing leaks."""

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from qtdog_tf.data import resize_squash
from qtdog_tf.errors import UserError
from qtdog_tf.export.tflite.flatbuffer_file import pack_model, read_model
from qtdog_tf.export.tflite.label_archive import zip_of_labels
from qtdog_tf.export.tflite.metadata import ModelInfo, add_metadata
from qtdog_tf.export.tflite.runner import open_file, round_pixels
from tests.tflite_files import (
    CLASSES,
    IMAGE_SIZE,
    KINDS,
    colourful_images,
    expected_probabilities,
    write_tflite,
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("threads", [1, 2])
def test_probabilities_of_every_kind(kind: str, threads: int, tmp_path: Path) -> None:
    images = colourful_images(40, seed=5)
    expected = expected_probabilities(images)
    with open_file(write_tflite(tmp_path, kind), threads) as classifier:
        assert classifier.image_size == IMAGE_SIZE
        assert classifier.class_count == len(CLASSES) and classifier.classes is None
        of_integers = kind in ("uint8", "int8")
        assert (
            classifier.input_type == classifier.output_type == (kind if of_integers else "float32")
        )
        probabilities = classifier.predict(images)
    assert probabilities.dtype == np.float32 and probabilities.shape == expected.shape
    tolerance = {"uint8": 0.15, "int8": 0.15, "dynamic": 0.05, "float32": 1e-5}[kind]
    np.testing.assert_allclose(probabilities, expected, atol=tolerance)
    sums = probabilities.sum(axis=1)
    np.testing.assert_allclose(sums, 1, atol=0.02 if of_integers else 1e-5)


def test_both_integer_types_see_the_same_pixels(tmp_path: Path) -> None:
    images = colourful_images(20)
    unsigned = open_file(write_tflite(tmp_path, "uint8")).predict(images)
    np.testing.assert_array_equal(
        open_file(write_tflite(tmp_path, "int8")).predict(images), unsigned
    )


def test_an_image_gives_the_same_alone_and_among_others(tmp_path: Path) -> None:
    images = colourful_images(5)
    for kind in KINDS:
        with open_file(write_tflite(tmp_path, kind)) as classifier:
            together = classifier.predict(images)
            alone = [classifier.predict(image[None])[0] for image in images]
            np.testing.assert_array_equal(together, alone)
            assert classifier.predict(images[:0]).shape == (0, len(CLASSES))


def test_fractions_are_rounded_for_integers_and_kept_for_floats(tmp_path: Path) -> None:
    images = np.clip(colourful_images(5) + np.float32(0.4), 0, 255)
    with open_file(write_tflite(tmp_path)) as classifier:
        np.testing.assert_array_equal(
            classifier.predict(images), classifier.predict(round_pixels(images))
        )
    with open_file(write_tflite(tmp_path, "float32")) as classifier:
        np.testing.assert_array_equal(classifier.input_codes(images), images)
        np.testing.assert_allclose(
            classifier.predict(images), expected_probabilities(images), atol=1e-5
        )


def test_rounding_is_that_of_the_evaluation_resize() -> None:
    values = np.array([-3.0, 0.5, 1.5, 2.5, 254.5, 254.6, 300.0], np.float32)
    np.testing.assert_array_equal(round_pixels(values), [0, 0, 2, 2, 254, 255, 255])
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    resized = tf.image.resize(image, [32, 32], antialias=True).numpy()
    np.testing.assert_array_equal(round_pixels(resized), resize_squash(image, 32))


def test_wrong_pixels_and_closed_files_are_errors_of_the_program(tmp_path: Path) -> None:
    classifier = open_file(write_tflite(tmp_path))
    with pytest.raises(ValueError, match=r"\[n, 32, 32, 3\] is needed"):
        classifier.predict(np.zeros((1, 16, 16, 3), np.uint8))
    classifier.close()
    classifier.close()
    with pytest.raises(ValueError, match="is closed"):
        classifier.predict(colourful_images(1))


def threads_of_this_process() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def test_closing_frees_the_interpreter(tmp_path: Path) -> None:
    with open_file(write_tflite(tmp_path), threads=2) as classifier:
        classifier.predict(colourful_images(1))
        interpreter = weakref.ref(classifier._interpreter)
        threads = threads_of_this_process()
    gc.collect()
    assert interpreter() is None
    for _ in range(10):
        with open_file(classifier.path, threads=2) as again:
            again.predict(colourful_images(1))
    assert threads_of_this_process() <= threads


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing.tflite cannot be opened: No such file"):
        open_file(tmp_path / "nothing.tflite")
    with pytest.raises(UserError, match="cannot be opened: Is a directory"):
        open_file(tmp_path)
    (tmp_path / "text.tflite").write_text("This is a text of some length.")
    with pytest.raises(UserError, match="text.tflite is no TFLite model"):
        open_file(tmp_path / "text.tflite")
    path = write_tflite(tmp_path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match="uint8.tflite is truncated or damaged"):
        open_file(path)


def _scale(graph: Any) -> None:
    graph.tensors[graph.outputs[0]].quantization.scale = np.zeros(1, np.float32)


def _zero_point(graph: Any) -> None:
    graph.tensors[graph.outputs[0]].quantization.zeroPoint = np.array([999])


def _buffer(graph: Any) -> None:
    graph.tensors[0].buffer = 1000


def _shape(graph: Any) -> None:
    graph.tensors[0].shape = np.array([2**30, 2**30], np.int32)


def _input(graph: Any) -> None:
    graph.operators[0].inputs = np.array([-1], np.int32)


def _output(graph: Any) -> None:
    graph.outputs = np.array([77], np.int32)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_scale, "the scale of tensor"),
        (_zero_point, "the zero point of tensor"),
        (_buffer, "it refers to buffer 1000 of"),
        (_shape, "the shape of tensor"),
        (_input, "it refers to tensor -1 of"),
        (_output, "it refers to tensor 77 of"),
    ],
)
def test_numbers_that_would_crash_litert_are_refused(
    damage: Callable[[Any], None], reason: str, tmp_path: Path
) -> None:
    path = write_tflite(tmp_path)
    model = read_model(path)
    damage(model.subgraphs[0])
    path.write_bytes(pack_model(model))
    with pytest.raises(UserError, match=f"uint8.tflite is truncated or damaged .{reason}"):
        open_file(path)


def test_what_is_no_classifier_is_refused(tmp_path: Path) -> None:
    @tf.function(input_signature=[tf.TensorSpec([1, 8, 16, 3])])
    def narrow(pixels: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(tf.reduce_mean(pixels, [1, 2]))

    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [narrow.get_concrete_function()], tf.Module()
    )
    path = tmp_path / "narrow.tflite"
    path.write_bytes(converter.convert())
    with pytest.raises(
        UserError, match=r"float32 \[1, 8, 16, 3\] -> float32 \[1, 3\]; .*is needed"
    ):
        open_file(path)


def test_names_of_another_number_are_refused(tmp_path: Path) -> None:
    path = write_tflite(tmp_path)
    add_metadata(path, ModelInfo("n", "d", "1", CLASSES))
    contents = path.read_bytes()
    model = contents[: contents.index(b"PK\x03\x04")]
    path.write_bytes(model + zip_of_labels("labels.txt", CLASSES[1:], len(model)))
    with pytest.raises(UserError, match="names 4 classes in its metadata and gives 5 prob"):
        open_file(path)
