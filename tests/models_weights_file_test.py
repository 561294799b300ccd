"""Weights files that are not what they should be, and the converter."""

import json
import pickle
import struct
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from qtdog_tf.errors import UserError
from qtdog_tf.models.weights_file import read_tensors
from tools.convert_weights import convert


def _safetensors(header: object, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


BAD_FILES = {
    "empty": b"",
    "text": b"hello, world, I am no weights file",
    "header longer than the file": struct.pack("<Q", 2**40) + b"{}",
    "data cut short": _safetensors({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}),
    "shape and data disagree": _safetensors(
        {"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}}, b"1234"
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_safetensors_are_one_sentence(name: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(BAD_FILES[name])
    with pytest.raises(UserError, match="is no valid .safetensors file"):
        read_tensors(path)


def test_a_number_type_without_numpy_equivalent_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    entry = {"dtype": "F8_E5M2", "shape": [2], "data_offsets": [0, 2]}
    path.write_bytes(_safetensors({"a": entry}, b"12"))
    with pytest.raises(UserError, match="save it as float32"):
        read_tensors(path)


def test_a_zipped_checkpoint_is_sent_to_the_converter(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.pth", "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    with pytest.raises(UserError, match="tools.convert_weights --input="):
        read_tensors(tmp_path / "model.pth")


@pytest.mark.parametrize(
    ("name", "message"),
    [("absent.safetensors", "No such file"), ("", "Is a directory"), ("a.txt", "no weights file")],
)
def test_other_paths_are_one_sentence(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(UserError, match=message):
        read_tensors(tmp_path / name)


class _FakeTensor:
    """What the converter uses of a torch tensor."""

    def __init__(self, value: np.ndarray) -> None:
        self.value = value

    def numpy(self) -> np.ndarray:
        return self.value

    def stride(self) -> tuple[int, ...]:
        return ()


def _fake_torch(monkeypatch: pytest.MonkeyPatch, content: object) -> None:
    """Makes `import torch` give a module whose `load` returns `content`, if asked safely."""

    def load(path: Path, *, map_location: str, weights_only: bool) -> object:
        assert weights_only and map_location == "cpu"
        if isinstance(content, Exception):
            raise content
        return content

    torch = types.ModuleType("torch")
    torch.load = load  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", torch)


@pytest.mark.parametrize("nest", [False, True])
def test_converted_tensors_are_the_checkpoints(
    nest: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"a": np.arange(6, dtype=np.float32).reshape(2, 3).T, "b": np.asarray(3)}
    table = {name: _FakeTensor(value) for name, value in values.items()}
    _fake_torch(monkeypatch, {"epoch": 3, "state_dict": table} if nest else table)
    (tmp_path / "in.pth").write_bytes(b"x")
    assert convert(tmp_path / "in.pth", tmp_path / "out.safetensors") == 2
    written = load_file(tmp_path / "out.safetensors")
    for name, value in values.items():
        np.testing.assert_array_equal(written[name], value, strict=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.UnpicklingError("Weights only"), "save only its state_dict"),
        (RuntimeError("bad zip\nmore"), "torch cannot read .*in.pth as plain weights: bad zip$"),
        ({"a": _FakeTensor(np.zeros(1)), "epoch": 3}, "no table of tensors"),
        ([1, 2], "no table of tensors"),
    ],
)
def test_a_checkpoint_that_does_not_fit_leaves_nothing(
    content: object, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fake_torch(monkeypatch, content)
    (tmp_path / "in.pth").write_bytes(b"x")
    with pytest.raises(UserError, match=message):
        convert(tmp_path / "in.pth", tmp_path / "out.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["in.pth"]


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("in.pth", "mine.safetensors", "exists: remove it"),
        ("in.pth", "out.bin", "must end with .safetensors"),
        ("absent.pth", "out.safetensors", "there is no file"),
    ],
)
def test_paths_that_do_not_fit_are_one_sentence(
    source: str, target: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "in.pth").write_bytes(b"x")
    (tmp_path / "mine.safetensors").write_bytes(b"mine")
    with pytest.raises(UserError, match=message):
        convert(tmp_path / source, tmp_path / target)
    assert (tmp_path / "mine.safetensors").read_bytes() == b"mine"


def test_without_torch_the_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # makes its import fail
    (tmp_path / "in.pth").write_bytes(b"x")
    with pytest.raises(UserError, match="`pip install torch`"):
        convert(tmp_path / "in.pth", tmp_path / "out.safetensors")
