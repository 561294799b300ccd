"""Hostile `.keras` files: none runs code, reads another file, or takes more memory than it has."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from qtdog_tf.errors import UserError
from qtdog_tf.evaluation.saved_model import load_saved_model
from tests.programs import REPOSITORY

SEED = REPOSITORY / "tests" / "fuzz_corpus" / "keras" / "model.keras"


def members() -> dict[str, bytes]:
    with zipfile.ZipFile(SEED) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(path: Path, parts: dict[str, bytes], kind: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path


def with_config(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    parts = members()
    config = json.loads(parts["config.json"])
    change(config)
    return packed(path, {**parts, "config.json": json.dumps(config).encode()})


def refused(path: Path, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        load_saved_model(path)


def test_the_whole_file_loads() -> None:
    assert load_saved_model(SEED).output_shape == (None, 2)


MARK = "/tmp/qtdog_tf_hostile_mark"
OBJECTS = {
    "os.system": {"module": "os", "class_name": "function", "config": "system"},
    "a class of another module": {
        "module": "subprocess",
        "class_name": "Popen",
        "config": {"args": ["touch", MARK]},
    },
    "a module that an import would run": {"module": "antigravity", "class_name": "X", "config": {}},
    "a lambda": {"class_name": "__lambda__", "config": {"value": "4wAA"}},
    "a Lambda layer": {"module": "keras.layers", "class_name": "Lambda", "config": {}},
    "a SavedModel": {"module": "keras.layers", "class_name": "TFSMLayer", "config": {}},
    "torch": {"module": "keras.layers", "class_name": "TorchModuleWrapper", "config": {}},
    "a vocabulary of the disk": {
        "module": "keras.layers",
        "class_name": "StringLookup",
        "config": {"vocabulary": "/etc/passwd"},
    },
    "a download": {
        "module": "keras.utils",
        "class_name": "function",
        "config": "get_file",
        "registered_name": "get_file",
    },
    "Keras' own inside": {
        "module": "keras.src.utils.file_utils",
        "class_name": "get_file",
        "config": {"origin": "file:///etc/passwd"},
    },
    "our package, not registered": {
        "module": "qtdog_tf.files",
        "class_name": "write_text",
        "config": {"path": MARK, "text": ""},
    },
    "another's registered name": {
        "module": "keras.layers",
        "class_name": "Dense",
        "registered_name": "elsewhere>Odd",
        "config": {},
    },
    "a type": {"module": ["os"], "class_name": "Dense", "config": {}},
    "arguments for compile": {
        "module": "keras.layers",
        "class_name": "Dense",
        "config": {"units": 1},
        "compile_config": {"optimizer": "os.system"},
    },
}


@pytest.mark.parametrize("name", OBJECTS)
def test_what_a_description_may_not_name(name: str, tmp_path: Path) -> None:
    def put_everywhere(config: dict[str, Any]) -> None:
        config["config"]["layers"][1]["config"]["scale"] = OBJECTS[name]

    path = with_config(tmp_path / "model.keras", put_everywhere)
    refused(path, "cannot be loaded: .*(no model of this project|is no text)")
    assert not Path(MARK).exists()
    path = with_config(path, lambda config: config.update(OBJECTS[name]))
    if name != "arguments for compile":  # of the whole model: left out, as it always is
        refused(path, "cannot be loaded: ")


def _layer(config: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(x for x in config["config"]["layers"] if x["class_name"] == kind)["config"]


def test_layers_larger_than_the_file_are_refused_before_they_are_made(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with_config(path, lambda config: _layer(config, "Dense").update(units=10**12))
    refused(path, "asks for weights of shape .*, more than the file holds")
    with_config(
        path,
        lambda config: _layer(config, "InputLayer").update(batch_shape=[None, 2**20, 2**20, 3]),
    )
    refused(path, "gives .* numbers for an image")


def _hdf5(make: Callable[[h5py.File], object]) -> bytes:
    stream = io.BytesIO(members()["model.weights.h5"])
    with h5py.File(stream, "a") as file:
        make(file)
    return stream.getvalue()


def _group_in_itself(file: h5py.File) -> None:
    file["layers/again"] = file["layers"]


HDF5 = {
    "fill value": (lambda f: f.create_dataset("x", (2**40,), "f4"), "claims .* bytes in a file"),
    "compressed": (
        lambda f: f.create_dataset("x", data=np.zeros(10**7), compression="gzip"),
        "claims 80,000,000 bytes",
    ),
    "external link": (
        lambda f: f.__setitem__("x", h5py.ExternalLink("/etc/passwd", "/")),
        "is a link to somewhere else",
    ),
    "soft link": (lambda f: f.__setitem__("x", h5py.SoftLink("/layers")), "is a link"),
    "external data": (
        lambda f: f.create_dataset("x", (8,), "u1", external=[("/etc/passwd", 0, 8)]),
        "lies in another file",
    ),
    "circle": (_group_in_itself, "holds itself"),
    "objects": (lambda f: f.create_dataset("x", data=["text"]), "is of type object"),
}


@pytest.mark.parametrize("name", HDF5)
def test_hostile_weights(name: str, tmp_path: Path) -> None:
    make, reason = HDF5[name]
    parts = {**members(), "model.weights.h5": _hdf5(make)}
    refused(packed(tmp_path / "model.keras", parts), f"no whole HDF5 file: .*{reason}")


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a\\b", "assets/x", "model.weights.npz"])
def test_members_that_no_file_of_ours_has(name: str, tmp_path: Path) -> None:
    parts = {**members(), name: b"x"}
    refused(packed(tmp_path / "model.keras", parts), "truncated or damaged .its member")


def test_compressed_members_are_refused_unread(tmp_path: Path) -> None:
    parts = {**members(), "metadata.json": bytes(10**8)}
    path = packed(tmp_path / "model.keras", parts, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 10**6
    refused(path, "is compressed")


def test_deep_and_long_descriptions(tmp_path: Path) -> None:
    for text in (b"[" * 10**5, b'{"class_name": ' + b"9" * 5000 + b"}", b"[]", b"null", b"\xff"):
        parts = {**members(), "config.json": text}
        refused(packed(tmp_path / "model.keras", parts), "cannot be loaded: ")
