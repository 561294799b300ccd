"""The reader of torch's legacy files: right on good files, harmless on hostile ones.

The files are assembled here byte by byte, instruction by instruction; torch is not needed.
"""

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qtdog_tf.errors import UserError
from qtdog_tf.models.torch_legacy import read_legacy_checkpoint
from tests.torch_files import (
    MACHINE,
    MAGIC,
    file_bytes,
    good_file,
    number_bytes,
    table_bytes,
    tensor_bytes,
    text_bytes,
)


def _read(contents: bytes, folder: Path) -> dict[str, np.ndarray]:
    path = folder / "weights.pth"
    path.write_bytes(contents)
    return read_legacy_checkpoint(path)


def test_tensors_are_read_with_their_strides_and_offsets(tmp_path: Path) -> None:
    tensors = _read(good_file(), tmp_path)
    assert list(tensors) == ["a", "b"]
    np.testing.assert_array_equal(tensors["a"], [[0, 2, 4], [1, 3, 5]])
    np.testing.assert_array_equal(tensors["b"], [10, 30])
    assert tensors["a"].dtype == np.float32


class _Evil:
    """Unpickling this with `pickle` runs a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):  # type: ignore[no-untyped-def]
        return os.system, (self.command,)


@pytest.mark.parametrize("place", range(5))
def test_a_pickle_that_runs_a_command_is_refused_and_does_not_run(
    place: int, tmp_path: Path
) -> None:
    witness = tmp_path / "witness"
    evil = pickle.dumps(_Evil(f"touch {witness}"), 2)
    parts = [pickle.dumps(part, 2) for part in (MAGIC, 1001, MACHINE)]
    parts += [table_bytes({"a": tensor_bytes("1", 6, (6,), (1,))}), pickle.dumps(["1"], 2)]
    parts[place] = evil
    pickle.loads(evil)  # the weapon works
    assert witness.exists()
    witness.unlink()
    with pytest.raises(UserError, match="system'?, which is refused"):
        _read(b"".join(parts), tmp_path)
    assert not witness.exists()


HOSTILE = {
    "eval": b"\x80\x02cbuiltins\neval\n" + text_bytes("1") + b"\x85R.",
    "import by stack": b"\x80\x04" + text_bytes("os") + text_bytes("system") + b"\x93.",
    "old instance": b"(" + text_bytes("ls") + b"ios\nsystem\n.",
    "memory by memo index": b"\x80\x02N" + b"r" + struct.pack("<I", 2**32 - 1) + b".",
    "memory by text length": b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"x.",
    "constructor with arguments": b"\x80\x02ccollections\nOrderedDict\n(]tR.",
    "attributes of a function": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}b.",
    "storage of objects": b"\x80\x02(" + text_bytes("storage") + b"cbuiltins\nlist\ntQ.",
    "pop of nothing": b"\x80\x02\x85.",
    "mark never set": b"\x80\x02t.",
    "unknown memo": b"\x80\x02h\x05.",
    "no table": b"\x80\x02].",
    "values that are no tensors": table_bytes({"a": number_bytes(1)}),
    "keys that are no text": b"\x80\x02}(" + number_bytes(1) + number_bytes(2) + b"u.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a torch checkpoint that can be read"):
        _read(file_bytes(HOSTILE[name], {"1": np.arange(6)}), tmp_path)


BAD_VIEWS = {
    "too long": ((7,), (1,), 0),
    "offset": ((6,), (1,), 1),
    "stride": ((2, 3), (3, 2), 0),
    "broadcast": ((1000000, 1000000), (0, 0), 0),
    "negative shape": ((-1,), (1,), 0),
    "negative stride": ((2,), (-1,), 1),
    "negative offset": ((2,), (1,), -1),
    "empty": ((0,), (1,), 0),
    "ranks differ": ((2, 3), (1,), 0),
}


@pytest.mark.parametrize("name", BAD_VIEWS)
def test_views_outside_their_storage_are_refused(name: str, tmp_path: Path) -> None:
    shape, strides, offset = BAD_VIEWS[name]
    table = table_bytes({"a": tensor_bytes("1", 6, shape, strides, offset)})
    with pytest.raises(UserError, match="a tensor"):
        _read(file_bytes(table, {"1": np.arange(6)}), tmp_path)


def test_a_stride_that_is_never_used_may_be_anything(tmp_path: Path) -> None:
    table = table_bytes({"a": tensor_bytes("1", 6, (1, 6), (2**31 - 1, 1))})
    assert _read(file_bytes(table, {"1": np.arange(6)}), tmp_path)["a"].shape == (1, 6)


def test_a_storage_shorter_than_declared_is_refused(tmp_path: Path) -> None:
    table = table_bytes({"a": tensor_bytes("1", 6, (6,), (1,))})
    with pytest.raises(UserError, match="has 5 elements, expected 6"):
        _read(file_bytes(table, {"1": np.arange(5)}), tmp_path)


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    contents = good_file()
    for length in range(len(contents)):
        with pytest.raises(UserError):
            _read(contents[:length], tmp_path)


@example(edits=[(79, 92)])  # a backslash in a module's name
@settings(max_examples=300, deadline=None)
@given(edits=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes_give_arrays_or_a_sentence(
    edits: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    contents = bytearray(good_file())
    for position, value in edits:
        contents[position % len(contents)] = value
    try:
        tensors = _read(bytes(contents), tmp_path_factory.getbasetemp())
    except UserError:
        return
    assert all(isinstance(tensor, np.ndarray) for tensor in tensors.values())


def test_a_path_that_is_no_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        read_legacy_checkpoint(tmp_path / "absent.pth")
    with pytest.raises(UserError, match="cannot read"):
        read_legacy_checkpoint(tmp_path)
