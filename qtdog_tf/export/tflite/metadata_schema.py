"""The part of TFLite's metadata schema that a classifier needs, and how its tables are laid out.

The schema is `metadata_schema.fbs` of tflite-support and MediaPipe. A flatbuffer stores the fields
of a table by number, in the order of the schema; an unset one takes no space.
Start from `write_table`; `metadata_buffer.py` uses it.
"""

import enum
from collections.abc import Mapping, Sequence

import flatbuffers
import numpy as np
from flatbuffers import number_types
from flatbuffers.table import Table

FILE_IDENTIFIER = b"M001"
# The oldest reader that knows every field used here.
MIN_PARSER_VERSION = "1.0.0"

# Values of enumerations and unions.
TENSOR_AXIS_LABELS = 2
COLOR_SPACE_RGB = 1
IMAGE_PROPERTIES = 2
NORMALIZATION_OPTIONS = 1


class ModelMetadata(enum.IntEnum):
    """The root table."""

    NAME = 0
    DESCRIPTION = 1
    VERSION = 2
    SUBGRAPHS = 3
    AUTHOR = 4
    LICENSE = 5
    MIN_PARSER_VERSION = 7


class SubGraphMetadata(enum.IntEnum):
    """A graph: one entry for each of its inputs and outputs."""

    INPUTS = 2
    OUTPUTS = 3


class TensorMetadata(enum.IntEnum):
    """An input or output."""

    NAME = 0
    DESCRIPTION = 1
    CONTENT = 3
    PROCESS_UNITS = 4
    ASSOCIATED_FILES = 6


class Content(enum.IntEnum):
    """What a tensor holds; a union takes two fields, its type and its value."""

    PROPERTIES_TYPE = 0
    PROPERTIES = 1


class ImageProperties(enum.IntEnum):
    """An image."""

    COLOR_SPACE = 0


class ProcessUnit(enum.IntEnum):
    """What is done to a tensor outside of the graph; a union, as above."""

    OPTIONS_TYPE = 0
    OPTIONS = 1


class NormalizationOptions(enum.IntEnum):
    """(pixel - mean) / std, one value for all channels or one a channel."""

    MEAN = 0
    STD = 1


class AssociatedFile(enum.IntEnum):
    """A file in the ZIP archive behind the model."""

    NAME = 0
    DESCRIPTION = 1
    TYPE = 2


def write_table(
    builder: flatbuffers.Builder,
    children: Mapping[enum.IntEnum, int],
    small: Mapping[enum.IntEnum, int] | None = None,
) -> int:
    """Writes one table.

    Args:
        builder: the flatbuffer, in which the children are written already.
        children: field -> offset of a string, vector or table.
        small: field -> value of an enumeration or a union's type, one byte each.

    Returns:
        The offset of the table.
    """
    small = small or {}
    builder.StartObject(max([*children, *small]) + 1)
    for field, offset in children.items():
        builder.PrependUOffsetTRelativeSlot(int(field), offset, 0)
    for field, value in small.items():
        builder.PrependUint8Slot(int(field), value, 0)
    return builder.EndObject()


def write_tables(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    """Writes a vector of tables that are written already; returns its offset."""
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def write_floats(builder: flatbuffers.Builder, values: Sequence[float]) -> int:
    """Writes a vector of float32; returns its offset."""
    return builder.CreateNumpyVector(np.asarray(values, np.float32))


def root_table(contents: bytes) -> Table:
    """The root of a flatbuffer."""
    (position,) = np.frombuffer(contents, "<u4", 1)
    return Table(contents, int(position))


def read_text(table: Table, field: enum.IntEnum) -> str:
    """A string, empty if it is not set."""
    offset = _offset(table, field)
    return table.String(table.Pos + offset).decode() if offset else ""


def read_tables(table: Table, field: enum.IntEnum) -> list[Table]:
    """The tables of a vector, none if it is not set."""
    offset = _offset(table, field)
    if not offset:
        return []
    start = table.Vector(offset)
    return [
        Table(table.Bytes, table.Indirect(start + 4 * number))
        for number in range(table.VectorLen(offset))
    ]


def read_byte(table: Table, field: enum.IntEnum) -> int:
    """The value of an enumeration, 0 if it is not set."""
    return table.GetSlot(_slot(field), 0, number_types.Uint8Flags)


def _offset(table: Table, field: enum.IntEnum) -> int:
    return table.Offset(_slot(field))


def _slot(field: enum.IntEnum) -> int:
    # A table's layout begins with two sizes of two bytes.
    return 4 + 2 * int(field)
