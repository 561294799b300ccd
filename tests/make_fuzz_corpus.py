"""Writes the small whole files that the fuzzer damages: python -m tests.make_fuzz_corpus.

Files named found-* are findings of the past; they are kept by hand and left alone.
"""

import gzip
import io
import json
import tempfile
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
from safetensors.numpy import save

import qtdog_tf
from qtdog_tf.export.tflite.label_archive import zip_of_labels
from qtdog_tf.export.tflite.metadata import ModelInfo, add_metadata
from qtdog_tf.files import write_arrays
from qtdog_tf.records import Evaluation, Score
from tests.idx_files import idx_bytes
from tests.image_cases import CASES
from tests.layouts import cct_annotations, write_tar, write_zip
from tests.programs import REPOSITORY
from tests.run_folders import IDENTITY
from tests.tflite_files import CLASSES, write_tflite
from tests.torch_files import good_file

CORPUS = REPOSITORY / "tests" / "fuzz_corpus"
FLAGS = "# A comment.\n--steps=12\n--data=photos\n\n--noevaluate\n"


def small_model() -> keras.Model:
    """Every kind of layer with weights that training makes, in a few kilobytes."""
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Rescaling(1 / 128, -1.0)(image)
    x = qtdog_tf.models.batch_norm.FrozenBatchNormalization()(keras.layers.Conv2D(4, 3)(x))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    return qtdog_tf.quantize(keras.Model(image, keras.layers.Dense(2)(x)), bits=4)


def archive(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, data in members.items():
            file.writestr(zipfile.ZipInfo(name), data)
    return stream.getvalue()


def write(reader: str, name: str, contents: bytes) -> None:
    (CORPUS / reader).mkdir(parents=True, exist_ok=True)
    (CORPUS / reader / name).write_bytes(contents)


def write_models(folder: Path) -> None:
    small_model().save(folder / "model.keras")
    write("keras", "model.keras", (folder / "model.keras").read_bytes())
    with h5py.File(folder / "small.h5", "w") as file:
        file.create_group("layers/conv/vars")["0"] = np.ones((2, 3), np.float32)
        file["layers/conv/vars"].attrs["name"] = "conv"
    write("hdf5", "small.h5", (folder / "small.h5").read_bytes())
    with zipfile.ZipFile(folder / "model.keras") as file:
        write("hdf5", "model.h5", file.read("model.weights.h5"))
    for kind in ("uint8", "float32"):
        path = write_tflite(folder, kind)
        add_metadata(path, ModelInfo("a model", "for tests", "1", CLASSES))
        for reader in ("flatbuffer", "tflite"):
            write(reader, path.name, path.read_bytes())


def write_downloads(folder: Path) -> None:
    """What tools.prepare reads."""
    files = {"kfold/photo/dog/1.png": CASES["png"], "kfold/readme.txt": b"text " * 50}
    packed = write_zip(folder / "two.zip", files, zipfile.ZIP_DEFLATED)
    write("download_zip", "two.zip", packed.read_bytes())
    packed = write_tar(folder / "two.tar", files)
    write("download_tar", "two.tar", packed.read_bytes())
    write("download_tar", "two.tar.gz", gzip.compress(packed.read_bytes(), mtime=0))
    write("idx_labels", "labels", idx_bytes(np.arange(10)))
    write("idx_images", "images", idx_bytes(np.ones((2, 28, 28))))
    write("idx_images", "images.gz", gzip.compress(idx_bytes(np.eye(28)[None]), mtime=0))
    places = {"a.jpg": (100, ["cat", "dog"]), "b.jpg": ("46", ["bird"])}
    write("cct_json", "cct.json", next(iter(cct_annotations(places).values())))


def main(folder: Path) -> None:
    for name, contents in CASES.items():
        write(name.split()[0], f"{name.replace(' ', '_').replace(':', '')}", contents)
    write("pth", "two.pth", good_file())
    arrays = {"conv.weight": np.ones((2, 3), np.float32), "fc.bias": np.zeros(4, np.float32)}
    write("safetensors", "two.safetensors", save(arrays))
    write_arrays(folder / "two.npz", arrays, {"step": 3})
    write("npz", "two.npz", (folder / "two.npz").read_bytes())
    write("labels", "labels", bytes(64) + zip_of_labels("labels.txt", CLASSES, 64))
    write("zip", "two.zip", archive({"a/b/1.png": CASES["png"], "README.md": b"text"}))
    write("flagfile", "small.flags", FLAGS.encode())
    write("run_json", "run.json", json.dumps(IDENTITY).encode())
    ensemble = {**IDENTITY, "members": [{"run": "a/b", "model": "last", **IDENTITY}]}
    write("run_json", "ensemble.json", json.dumps(ensemble).encode())
    results = REPOSITORY / "tools" / "results" / "emoji_styles"
    run = sorted(results.glob("*-trial0/qtdog7"))[0]
    scores = {"in": Score(0.75, 0.5, 80), "out": Score(0.5, 0.9, 20)}
    evaluation = Evaluation(300, "sma", True, {"day": scores}, {"night": scores})
    line = json.dumps(evaluation.to_dict(), sort_keys=True).encode() + b"\n"
    write("results_jsonl", "results.jsonl", 3 * line)
    write("summary_json", "summary.json", (run / "summary.json").read_bytes())
    write_downloads(folder)
    write_models(folder)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
