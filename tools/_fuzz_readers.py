"""The readers that the fuzzer tries: each opens one file as the programs do.

A reader may accept a file, or refuse it by a `UserError`. Start from `READERS`.
"""

import io
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from absl import flags

from qtdog_tf.child import HDF5_CHILD, what_is_wrong
from qtdog_tf.data.catalog import TERRA_INCOGNITA
from qtdog_tf.data.image_check import inspect_image
from qtdog_tf.data.mnist.idx import read_images, read_labels
from qtdog_tf.data.zip_check import check_members
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation import open_run
from qtdog_tf.evaluation.saved_model import load_saved_model
from qtdog_tf.evaluation.summary_values import read_summary
from qtdog_tf.export.tflite.flatbuffer_file import read_contents, unpack_model
from qtdog_tf.export.tflite.label_archive import labels_from_zip
from qtdog_tf.export.tflite.metadata import info_of
from qtdog_tf.export.tflite.runner import open_file
from qtdog_tf.files import read_arrays
from qtdog_tf.models.weights_file import read_tensors
from qtdog_tf.prepare.archives import read_members
from qtdog_tf.prepare.terra_images import parse_annotations
from qtdog_tf.runs import ResultsLog
from qtdog_tf.training.tables import paired_table, trial_table
from tools._main import read_flags


@dataclass(frozen=True)
class Reader:
    """One kind of file.

    Attributes:
        file: its name in a folder of its own, which some readers depend on.
        read: opens it.
        costly: whether it takes a tenth of a second or more.
    """

    file: str
    read: Callable[[Path], object]
    costly: bool = False


def _image(path: Path) -> None:
    problem = inspect_image(str(path)).problem
    if problem:
        raise UserError(f"{path} {problem}")


def _run_folder(path: Path) -> None:
    (path.parent / "summary.json").write_text("{}")
    open_run(path.parent)


def _summary(path: Path) -> None:
    summaries = [read_summary(path)]
    trial_table(summaries, "sma/last")
    paired_table(summaries, "erm", "sma/last", "target_in")


def _flagfile(path: Path) -> None:
    values = flags.FlagValues()
    flags.DEFINE_integer("steps", 1, "", flag_values=values)
    flags.DEFINE_string("data", "", "", flag_values=values)
    flags.DEFINE_bool("evaluate", True, "", flag_values=values)
    flags.DEFINE_flag(
        flags.Flag(flags.ArgumentParser(), flags.ArgumentSerializer(), "flagfile", "", ""), values
    )
    read_flags(["program", f"--flagfile={path}"], values)


def _hdf5(path: Path) -> None:
    refused = what_is_wrong(HDF5_CHILD, str(path))
    if refused:
        raise UserError(f"{path}: {refused}")


def _flatbuffer(path: Path) -> None:
    contents = read_contents(path)
    info_of(unpack_model(contents, path), contents, path)


def _tflite(path: Path) -> None:
    with open_file(path) as classifier:
        size = classifier.image_size
        classifier.predict(np.zeros((1, size, size, 3), np.uint8))


def _labels(path: Path) -> None:
    labels_from_zip("labels.txt", path.read_bytes(), path)


def _archive(path: Path) -> None:
    contents = path.read_bytes()
    try:
        with (
            zipfile.ZipFile(io.BytesIO(contents)) as archive,
            tempfile.TemporaryDirectory(dir=path.parent) as folder,
        ):
            check_members(archive, len(contents))
            if archive.testzip() is None:
                archive.extractall(folder)
    # The embedded archive is compared with its hash first; what is tried here is that no file
    # leaves the folder. NotImplementedError is a RuntimeError.
    except (zipfile.BadZipFile, ValueError, EOFError, RuntimeError, OSError) as error:
        raise UserError(f"{path} is damaged: {' '.join(str(error).split())}") from error


def _download(path: Path) -> None:
    for member in read_members(path):
        member.contents()


def _idx_images(path: Path) -> None:
    for _ in read_images(path):
        pass


def _annotations(path: Path) -> None:
    places: dict[str, set[tuple[str, str]]] = defaultdict(set)
    parse_annotations(path.read_bytes(), str(path), TERRA_INCOGNITA, places)


READERS = {
    "jpeg": Reader("image.jpg", _image),
    "png": Reader("image.png", _image),
    "gif": Reader("image.gif", _image),
    "bmp": Reader("image.bmp", _image),
    "webp": Reader("image.webp", _image),
    "pth": Reader("weights.pth", read_tensors),
    "safetensors": Reader("weights.safetensors", read_tensors),
    "npz": Reader("checkpoint.npz", read_arrays),
    "labels": Reader("labels.tflite", _labels),
    "zip": Reader("archive.zip", _archive),
    "download_zip": Reader("download.zip", _download),
    "download_tar": Reader("download.tar.gz", _download),
    "idx_labels": Reader("labels-idx1-ubyte", read_labels),
    "idx_images": Reader("images-idx3-ubyte.gz", _idx_images),
    "cct_json": Reader("train_annotations.json", _annotations),
    "flagfile": Reader("settings.flags", _flagfile),
    "run_json": Reader("run/run.json", _run_folder),
    "summary_json": Reader("run/summary.json", _summary),
    "results_jsonl": Reader("results.jsonl", lambda path: ResultsLog(path).read()),
    "flatbuffer": Reader("model.tflite", _flatbuffer),
    "tflite": Reader("model.tflite", _tflite, costly=True),
    "hdf5": Reader("model.weights.h5", _hdf5, costly=True),
    "keras": Reader("model.keras", load_saved_model, costly=True),
}


def attempt(reader: Reader, path: Path) -> str:
    """Lets a reader open a file.

    Returns:
        "accepted", "refused", or, for what must not be, the exception and where it came from.
    """
    try:
        reader.read(path)
    except UserError as error:
        sentence = str(error)
        if not 10 < len(sentence) < 2000 or "\n" in sentence.strip():
            return f"no sentence: {sentence.replace(str(path), '')[:60]!r}"
        return "refused"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        where = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
        return f"{type(error).__name__} at {where}"
    return "accepted"
