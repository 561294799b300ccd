"""Encodes and decodes the metadata of an image classifier as a flatbuffer.

What a reader finds there: that the input is an RGB image, how a float32 image is normalised before
the model, and which file names the classes of the output. Start from `encode_metadata`.
"""

import enum
from collections.abc import Mapping

import flatbuffers

from qtdog_tf.export.tflite import metadata_schema as schema
from qtdog_tf.export.tflite.metadata_schema import (
    read_byte,
    read_tables,
    read_text,
    write_floats,
    write_table,
    write_tables,
)

_TEXTS = {
    "name": schema.ModelMetadata.NAME,
    "description": schema.ModelMetadata.DESCRIPTION,
    "version": schema.ModelMetadata.VERSION,
    "author": schema.ModelMetadata.AUTHOR,
    "license": schema.ModelMetadata.LICENSE,
}
_IMAGE = "RGB pixels from 0 to 255, which the model itself normalises."
_PROBABILITIES = "The probability of each class."
_LABELS = "The name of each class, one a line."


def encode_metadata(
    texts: Mapping[str, str], label_file: str, *, with_normalization: bool
) -> bytes:
    """Returns the metadata of a classifier.

    Args:
        texts: by the keys "name", "description", "version", "author" and "license"; empty ones are
            left out.
        label_file: name of the file with the class names.
        with_normalization: whether to say that pixels go in as they are. MediaPipe demands it for
            float32 inputs and ignores it for others.
    """
    builder = flatbuffers.Builder(1024)
    graph = write_table(
        builder,
        {
            schema.SubGraphMetadata.INPUTS: write_tables(
                builder, [_encode_image(builder, with_normalization)]
            ),
            schema.SubGraphMetadata.OUTPUTS: write_tables(
                builder, [_encode_probabilities(builder, label_file)]
            ),
        },
    )
    children: dict[enum.IntEnum, int] = {
        _TEXTS[key]: builder.CreateString(text) for key, text in texts.items() if text
    }
    root = schema.ModelMetadata
    children[root.SUBGRAPHS] = write_tables(builder, [graph])
    children[root.MIN_PARSER_VERSION] = builder.CreateString(schema.MIN_PARSER_VERSION)
    builder.Finish(write_table(builder, children), schema.FILE_IDENTIFIER)
    return bytes(builder.Output())


def decode_metadata(contents: bytes) -> tuple[dict[str, str], str]:
    """Reads metadata, not only of our own making.

    Returns:
        The texts by the keys of `encode_metadata`, and the name of the file that names the classes
        of the first output; empty ones are not there.

    Raises:
        ValueError, struct.error: or another of `flatbuffer_file.DAMAGE`, if the metadata is
            damaged.
    """
    root = schema.root_table(contents)
    texts = {key: read_text(root, field) for key, field in _TEXTS.items()}
    for graph in read_tables(root, schema.ModelMetadata.SUBGRAPHS)[:1]:
        for output in read_tables(graph, schema.SubGraphMetadata.OUTPUTS)[:1]:
            for file in read_tables(output, schema.TensorMetadata.ASSOCIATED_FILES):
                if read_byte(file, schema.AssociatedFile.TYPE) == schema.TENSOR_AXIS_LABELS:
                    return texts, read_text(file, schema.AssociatedFile.NAME)
    return texts, ""


def _encode_image(builder: flatbuffers.Builder, with_normalization: bool) -> int:
    image = write_table(builder, {}, {schema.ImageProperties.COLOR_SPACE: schema.COLOR_SPACE_RGB})
    children: dict[enum.IntEnum, int] = {
        schema.TensorMetadata.NAME: builder.CreateString("image"),
        schema.TensorMetadata.DESCRIPTION: builder.CreateString(_IMAGE),
        schema.TensorMetadata.CONTENT: write_table(
            builder,
            {schema.Content.PROPERTIES: image},
            {schema.Content.PROPERTIES_TYPE: schema.IMAGE_PROPERTIES},
        ),
    }
    if with_normalization:
        unit = write_table(
            builder,
            {schema.ProcessUnit.OPTIONS: _encode_no_normalization(builder)},
            {schema.ProcessUnit.OPTIONS_TYPE: schema.NORMALIZATION_OPTIONS},
        )
        children[schema.TensorMetadata.PROCESS_UNITS] = write_tables(builder, [unit])
    return write_table(builder, children)


def _encode_no_normalization(builder: flatbuffers.Builder) -> int:
    """(pixel - 0) / 1."""
    return write_table(
        builder,
        {
            schema.NormalizationOptions.MEAN: write_floats(builder, [0.0]),
            schema.NormalizationOptions.STD: write_floats(builder, [1.0]),
        },
    )


def _encode_probabilities(builder: flatbuffers.Builder, label_file: str) -> int:
    file = write_table(
        builder,
        {
            schema.AssociatedFile.NAME: builder.CreateString(label_file),
            schema.AssociatedFile.DESCRIPTION: builder.CreateString(_LABELS),
        },
        {schema.AssociatedFile.TYPE: schema.TENSOR_AXIS_LABELS},
    )
    return write_table(
        builder,
        {
            schema.TensorMetadata.NAME: builder.CreateString("probability"),
            schema.TensorMetadata.DESCRIPTION: builder.CreateString(_PROBABILITIES),
            schema.TensorMetadata.ASSOCIATED_FILES: write_tables(builder, [file]),
        },
    )
