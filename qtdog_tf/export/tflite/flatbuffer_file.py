"""Reads and writes the flatbuffer that a .tflite file is, without trusting it.

LiteRT's C++ code follows the offsets in a file unchecked, so a truncated or damaged file ends the
process by a signal. Here the whole file is walked in Python first, which checks every access, and
then `check_model` looks at the numbers. Start from `read_model`.
"""

import struct
from pathlib import Path
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from qtdog_tf.errors import UserError, one_line
from qtdog_tf.export.tflite.flatbuffer_budget import check_budget
from qtdog_tf.export.tflite.model_check import check_model

FILE_IDENTIFIER = b"TFL3"
# Offsets of a flatbuffer are 32 bits; converters refuse larger models too.
_MAX_BYTES = 2**31 - 1
_SMALLEST_BYTES = 16
# The schema asks for 16 (force_align), which vector instructions rely on; what it generates for
# Python packs without.
_BUFFER_ALIGNMENT = 16
# What Python raises for an offset, a length or a type number that leads nowhere.
DAMAGE = (struct.error, IndexError, ValueError, TypeError, AttributeError, OverflowError)


def read_contents(path: Path) -> bytes:
    """Reads a .tflite file whole.

    Raises:
        UserError: if it cannot be read, is too large, or does not start as a TFLite model does.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UserError(f"{path} is larger than 2 GiB, which no TFLite model is")
        contents = path.read_bytes()
    except OSError as error:
        raise UserError(f"model {path} cannot be opened: {error.strerror}") from error
    if len(contents) < _SMALLEST_BYTES or contents[4:8] != FILE_IDENTIFIER:
        raise UserError(f"{path} is no TFLite model (it does not start with TFL3)")
    return contents


def unpack_model(contents: bytes, path: Path) -> Any:
    """Turns the bytes of a model into objects, checking every offset on the way.

    Args:
        contents: the file, as `read_contents` returns it.
        path: the file's name, for errors.

    Returns:
        A `schema.ModelT`, which has at least one subgraph. Its large buffers are views of
        `contents`.

    Raises:
        UserError: if the file is truncated or damaged.
    """
    try:
        check_budget(contents)
        model = schema.ModelT.InitFromPackedBuf(contents)
        check_model(model, len(contents))
    except (*DAMAGE, MemoryError) as error:
        raise UserError(
            f"{path} is truncated or damaged ({one_line(error)}): export it again, or copy it again"
        ) from error
    return model


def read_model(path: Path) -> Any:
    """Reads a model as objects; see `unpack_model`.

    Raises:
        UserError: if the file cannot be read, is no TFLite model, or is damaged.
    """
    return unpack_model(read_contents(path), path)


def pack_model(model: Any) -> bytes:
    """Turns objects into the bytes of a .tflite file; equal objects give equal bytes.

    Args:
        model: a `schema.ModelT`.
    """
    builder = _AligningBuilder(1024)
    builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


class _AligningBuilder(flatbuffers.Builder):
    """A builder that starts vectors of bytes at multiples of 16."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:
        if elemSize == 1:
            alignment = max(alignment, _BUFFER_ALIGNMENT)
        return super().StartVector(elemSize, numElems, alignment)
