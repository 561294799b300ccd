"""Metadata in .tflite files: written, read, the same file otherwise; damage is one sentence."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from qtdog_tf.errors import UserError
from qtdog_tf.export.tflite.flatbuffer_file import pack_model, read_model
from qtdog_tf.export.tflite.label_archive import labels_from_zip, zip_of_labels
from qtdog_tf.export.tflite.metadata import ModelInfo, add_metadata, read_info, read_labels
from qtdog_tf.export.tflite.metadata_buffer import decode_metadata, encode_metadata
from qtdog_tf.export.tflite.runner import open_file
from tests.tflite_files import CLASSES, KINDS, colourful_images, tflite_bytes, write_tflite

INFO = ModelInfo("small", "tells colours apart", "1.2", CLASSES, license="Apache-2.0")


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    path = write_tflite(tmp_path)
    add_metadata(path, INFO)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_metadata_is_read_back_and_changes_no_output(kind: str, tmp_path: Path) -> None:
    path = write_tflite(tmp_path, kind)
    assert read_info(path) is None and read_labels(path) is None
    images = colourful_images(20)
    with open_file(path) as classifier:
        before = classifier.predict_codes(images)
    add_metadata(path, INFO)
    assert read_info(path) == INFO
    with open_file(path) as classifier:
        assert classifier.classes == CLASSES
        np.testing.assert_array_equal(classifier.predict_codes(images), before)


def test_everything_else_in_the_file_stays(tmp_path: Path) -> None:
    path = write_tflite(tmp_path)
    old = read_model(path)
    add_metadata(path, INFO)
    new = read_model(path)
    assert [m.name for m in new.metadata[:-1]] == [m.name for m in old.metadata]
    assert new.metadata.pop().buffer == len(old.buffers)
    new.buffers.pop()
    for mine, theirs in zip(new.buffers, old.buffers, strict=True):
        np.testing.assert_array_equal(mine.data, theirs.data)
    assert [s.signatureKey for s in new.signatureDefs] == [
        s.signatureKey for s in old.signatureDefs
    ]
    assert pack_model(new) == pack_model(old)


def test_constants_are_aligned(labelled: Path) -> None:
    """The schema's force_align: 16, which Python's generated code leaves out."""
    contents = labelled.read_bytes()
    model = schema.Model.GetRootAs(contents)
    start = np.frombuffer(contents, np.uint8).ctypes.data
    for number in range(model.BuffersLength()):
        buffer = model.Buffers(number)
        if not buffer.DataIsNone():
            assert (buffer.DataAsNumpy().ctypes.data - start) % 16 == 0


def test_writing_repeats_byte_for_byte_and_replaces(labelled: Path) -> None:
    first = labelled.read_bytes()
    add_metadata(labelled, ModelInfo("other", "", "2", tuple("abcde"), author="me"))
    assert read_labels(labelled) == tuple("abcde")
    add_metadata(labelled, INFO)
    assert labelled.read_bytes() == first


def test_names_are_a_stored_file_that_any_zip_reader_finds(labelled: Path) -> None:
    with zipfile.ZipFile(labelled) as archive:
        (entry,) = archive.infolist()
        assert entry.filename == "labels.txt" and entry.compress_type == zipfile.ZIP_STORED
        assert archive.read(entry).decode().splitlines() == list(CLASSES)


def test_unicode_names(tmp_path: Path) -> None:
    path = write_tflite(tmp_path)
    names = ("Würfel", "猫", "a b", "🎲", "é")
    add_metadata(path, ModelInfo("ü", "猫", "1", names))
    assert read_labels(path) == names and read_info(path).description == "猫"


@pytest.mark.parametrize("with_normalization", [True, False])
def test_normalization_is_written_for_float_images(with_normalization: bool) -> None:
    """Whether MediaPipe accepts the result is what tools/check_mediapipe.py checks."""
    texts = {"name": "n", "description": "", "version": "1", "author": "", "license": "l"}
    encoded = encode_metadata(texts, "names.txt", with_normalization=with_normalization)
    assert decode_metadata(encoded) == (texts, "names.txt")
    assert encoded[4:8] == b"M001"
    assert (np.float32(1).tobytes() in encoded) is with_normalization


@pytest.mark.parametrize(
    ("classes", "sentence"),
    [
        (("a", "b"), "2 class names do not fit .*uint8.tflite, which gives 5 probabilities"),
        (("a", "b", "", "d", "e"), "class name '' is empty"),
        (("a", "b", "c\nd", "e", "f"), "class name 'c\\\\nd' has a line break"),
        (("a", "b", "\udcff", "e", "f"), "is no Unicode text: rename its folder"),
    ],
)
def test_names_that_do_not_fit(classes: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    path = write_tflite(tmp_path)
    with pytest.raises(UserError, match=sentence):
        add_metadata(path, ModelInfo("n", "d", "1", classes))
    assert path.read_bytes() == tflite_bytes("uint8")


def test_no_classifier_gets_no_metadata(tmp_path: Path) -> None:
    path = write_tflite(tmp_path)
    model = read_model(path)
    graph = model.subgraphs[0]
    graph.inputs = np.append(graph.inputs, graph.inputs)
    path.write_bytes(pack_model(model))
    with pytest.raises(UserError, match="is no image classifier: .* inputs of rank .4, 4."):
        add_metadata(path, INFO)


def test_truncated_files_are_one_sentence(labelled: Path) -> None:
    contents = labelled.read_bytes()
    for length in (0, 7, 40, *range(100, len(contents), 211), len(contents) - 1):
        labelled.write_bytes(contents[:length])
        with pytest.raises(UserError) as caught:
            read_labels(labelled)
        assert str(labelled) in str(caught.value) and "\n" not in str(caught.value)


def test_changed_bytes_raise_nothing_else(labelled: Path) -> None:
    contents = labelled.read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        changed = np.frombuffer(contents, np.uint8).copy()
        places = random.integers(8, len(contents), 3)
        changed[places] = random.integers(0, 256, 3)
        labelled.write_bytes(changed.tobytes())
        try:
            read_info(labelled)
        except UserError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 50


def archive_with(name: str, contents: bytes, compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr(name, contents)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("archive", "reason"),
    [
        (archive_with("labels.txt", bytes(10**8), zipfile.ZIP_DEFLATED), "it is compressed"),
        (archive_with("labels.txt", bytes(2**20 + 1)), "it is larger than 1,048,576 bytes"),
        (archive_with("other.txt", b"a"), "no item named 'labels.txt'"),
        (archive_with("labels.txt", b"\xff\xfe"), "can't decode byte"),
        (b"no archive", "not a zip file"),
    ],
)
def test_hostile_archives(archive: bytes, reason: str) -> None:
    with pytest.raises(UserError, match=f"m.tflite names no classes: .*{reason}"):
        labels_from_zip("labels.txt", archive, Path("m.tflite"))


def test_an_archive_starts_where_the_model_ends() -> None:
    model = bytes(range(256)) * 5
    whole = model + zip_of_labels("l.txt", ("a", "b"), len(model))
    assert labels_from_zip("l.txt", whole, Path("m.tflite")) == ("a", "b")
