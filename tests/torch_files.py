"""Assembles torch's legacy files byte by byte, instruction by instruction, without torch."""

import pickle
import struct

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
MACHINE = {"protocol_version": 1001, "little_endian": True}


def text_bytes(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number_bytes(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def numbers_bytes(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(number_bytes, values)) + b"t"


def tensor_bytes(
    key: str, numel: int, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0
):  # type: ignore[no-untyped-def]
    """The instructions that torch writes for one float tensor."""
    storage = (
        b"("
        + text_bytes("storage")
        + b"ctorch\nFloatStorage\n"
        + text_bytes(key)
        + text_bytes("cpu")
    )
    storage += number_bytes(numel) + b"NtQ"
    arguments = (
        b"("
        + storage
        + number_bytes(offset)
        + numbers_bytes(shape)
        + numbers_bytes(strides)
        + b"\x89"
    )
    arguments += b"ccollections\nOrderedDict\n)R" + b"t"
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R"


def table_bytes(entries: dict[str, bytes]) -> bytes:
    items = b"".join(text_bytes(name) + value for name, value in entries.items())
    return b"\x80\x02ccollections\nOrderedDict\n)R(" + items + b"u."


def file_bytes(table: bytes, storages: dict[str, np.ndarray]) -> bytes:
    header = b"".join(pickle.dumps(part, 2) for part in (MAGIC, 1001, MACHINE))
    keys = pickle.dumps(list(storages), 2)
    data = b"".join(
        struct.pack("<q", a.size) + a.astype("<f4").tobytes() for a in storages.values()
    )
    return header + table + keys + data


def good_file() -> bytes:
    table = table_bytes(
        {"a": tensor_bytes("1", 6, (2, 3), (1, 2)), "b": tensor_bytes("2", 5, (2,), (2,), offset=1)}
    )
    return file_bytes(table, {"1": np.arange(6), "2": np.arange(5) * 10})
