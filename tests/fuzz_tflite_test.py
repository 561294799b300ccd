"""Hostile .tflite files: what unfolds to too much, and what ends LiteRT's process."""

import struct
from pathlib import Path

import pytest
from ai_edge_litert import schema_py_generated as schema

from qtdog_tf.child import LITERT_CHILD, what_is_wrong
from qtdog_tf.errors import UserError
from qtdog_tf.export.tflite.flatbuffer_file import pack_model, read_model, unpack_model
from qtdog_tf.export.tflite.runner import open_file
from tests.tflite_files import write_tflite


def test_a_flatbuffer_of_many_offsets_to_one_graph_is_refused_unfolded(tmp_path: Path) -> None:
    model = read_model(write_tflite(tmp_path))
    graph = model.subgraphs[0]
    graph.tensors = graph.tensors[:1]
    graph.operators = []
    contents = pack_model(model)
    # All of a vector's offsets are led to the first graph: as many graphs as the file has words.
    many = pack_with_shared_graphs(contents, 50_000)
    with pytest.raises(UserError, match="unfolds to more"):
        unpack_model(many, tmp_path / "bomb.tflite")


def pack_with_shared_graphs(contents: bytes, count: int) -> bytes:
    """A model whose vector of graphs, put at its end, points `count` times to one graph."""
    model = schema.Model.GetRootAs(contents)
    field = model._tab.Pos + model._tab.Offset(8)
    file = bytearray(contents)
    file += bytes(-len(file) % 4)
    vector = len(file)
    struct.pack_into("<I", file, field, vector - field)
    file += struct.pack("<I", count)
    # Offsets are positive, so the graph that all point to is put behind them.
    places = [len(file) + 4 * number for number in range(count)]
    behind = len(file) + 4 * count
    table = behind + 8
    for place in places:
        file += struct.pack("<I", table - place)
    # A table without fields: its own offset to a virtual table of four bytes before it.
    file += struct.pack("<HHI", 4, 4, 0) + struct.pack("<i", 8)
    return bytes(file)


def test_a_tensor_that_lost_its_quantization_is_a_sentence(tmp_path: Path) -> None:
    """The finding of old: LiteRT aborts when a constant of int8 has no scale."""
    path = write_tflite(tmp_path)
    for number, tensor in enumerate(read_model(path).subgraphs[0].tensors):
        if tensor.type != schema.TensorType.INT8:
            continue
        damaged = read_model(path)
        damaged.subgraphs[0].tensors[number].quantization = None
        (tmp_path / "lost.tflite").write_bytes(pack_model(damaged))
        with pytest.raises(UserError, match=r"lost.tflite is .* has no scale"):
            open_file(tmp_path / "lost.tflite")


def test_what_ends_litert_ends_its_child_only(tmp_path: Path) -> None:
    """The same without the check before: some damage is found by nothing but running it."""
    model = read_model(write_tflite(tmp_path))
    (constant,) = (t for t in model.subgraphs[0].tensors if t.name == b"sub/y")
    constant.quantization = None
    reason = what_is_wrong(LITERT_CHILD, contents=pack_model(model))
    assert reason == "opening it ends the process by SIGABRT"
