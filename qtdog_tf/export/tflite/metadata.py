"""Class names and a description inside a .tflite file, where MediaPipe and Android look for them.

The description is TFLite's metadata: a flatbuffer in a buffer of the model. The class names are a
file in a ZIP archive behind the model. Start from `add_metadata` and `read_labels`.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from qtdog_tf.errors import UserError, one_line
from qtdog_tf.export.tflite.flatbuffer_file import DAMAGE, pack_model, read_contents, unpack_model
from qtdog_tf.export.tflite.label_archive import labels_from_zip, refuse_names, zip_of_labels
from qtdog_tf.export.tflite.metadata_buffer import decode_metadata, encode_metadata
from qtdog_tf.files import replacing

_BUFFER_NAME = b"TFLITE_METADATA"
_LABEL_FILE = "labels.txt"


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """What a file says about itself.

    Attributes:
        name: of the model, for example "qtdog7 photos".
        description: what it tells apart and what it was trained on.
        version: of the model.
        classes: names of the classes in the order of the probabilities.
        author: who made it; may be empty.
        license: under which licence; may be empty.
    """

    name: str
    description: str
    version: str
    classes: tuple[str, ...]
    author: str = ""
    license: str = ""


def add_metadata(path: Path, info: ModelInfo) -> None:
    """Writes metadata and class names into a .tflite classifier, replacing those it has.

    Graph, weights and signatures stay as they are. The same call gives the same bytes.

    Args:
        path: the file: one image in, one vector of probabilities out.
        info: what to write.

    Raises:
        UserError: if the file is damaged or no such classifier, if the number of classes is not
            that of the probabilities, or if a class name is empty or has a line break.
    """
    path = Path(path)
    refuse_names(info.classes)
    model = unpack_model(read_contents(path), path)
    taken, given = _image_and_probabilities(model, path)
    if given.shape[-1] != len(info.classes):
        raise UserError(
            f"{len(info.classes)} class names do not fit {path}, which gives {given.shape[-1]} "
            "probabilities"
        )
    texts = dataclasses.asdict(info)
    del texts["classes"]
    is_float = taken.type == schema.TensorType.FLOAT32
    encoded = encode_metadata(texts, _LABEL_FILE, with_normalization=is_float)
    _metadata_buffer(model).data = np.frombuffer(encoded, np.uint8)
    contents = pack_model(model)
    with replacing(path) as temporary:
        temporary.write_bytes(contents + zip_of_labels(_LABEL_FILE, info.classes, len(contents)))


def read_info(path: Path) -> ModelInfo | None:
    """Reads what a .tflite file says about itself.

    Returns:
        The metadata, with no classes if the file names none; None if it carries no metadata.

    Raises:
        UserError: if the file cannot be read, is no TFLite model, or is damaged.
    """
    contents = read_contents(path)
    return info_of(unpack_model(contents, path), contents, path)


def read_labels(path: Path) -> tuple[str, ...] | None:
    """Reads the class names that a .tflite file carries, None if it carries none.

    Raises:
        UserError: if the file cannot be read, is no TFLite model, or is damaged.
    """
    info = read_info(path)
    return (info.classes or None) if info else None


def info_of(model: Any, contents: bytes, path: Path) -> ModelInfo | None:
    """Does what `read_info` does with a file that is in memory.

    Args:
        model: the file as objects, from `unpack_model`.
        contents: the file.
        path: its name, for errors.
    """
    entry = _metadata_entry(model)
    if entry is None:
        return None
    try:
        data = np.asarray(model.buffers[entry.buffer].data, np.uint8).tobytes()
        texts, label_file = decode_metadata(data)
    except DAMAGE as error:
        raise UserError(
            f"the metadata of {path} is damaged ({one_line(error)}): export it again"
        ) from error
    classes = labels_from_zip(label_file, contents, path) if label_file else ()
    return ModelInfo(classes=classes, **texts)


def _metadata_entry(model: Any) -> Any:
    entries = [entry for entry in model.metadata or [] if entry.name == _BUFFER_NAME]
    return entries[0] if entries else None


def _metadata_buffer(model: Any) -> Any:
    """The buffer that holds the metadata, a new one if there is none."""
    entry = _metadata_entry(model)
    if entry is None:
        entry = schema.MetadataT(name=_BUFFER_NAME.decode(), buffer=len(model.buffers))
        model.metadata = [*(model.metadata or []), entry]
        model.buffers.append(schema.BufferT())
    return model.buffers[entry.buffer]


def _image_and_probabilities(model: Any, path: Path) -> tuple[Any, Any]:
    """The tensors for the only input and output.

    Raises:
        UserError: if they are not one image and one vector.
    """
    graph = model.subgraphs[0]
    taken = [graph.tensors[index] for index in graph.inputs]
    given = [graph.tensors[index] for index in graph.outputs]
    shapes = [[len(tensor.shape) for tensor in side] for side in (taken, given)]
    if shapes != [[4], [2]]:
        raise UserError(
            f"{path} is no image classifier: metadata takes one input of rank 4 and one output "
            f"of rank 2, this has inputs of rank {shapes[0]} and outputs of rank {shapes[1]}"
        )
    return taken[0], given[0]
