"""Damages files for the fuzzer: by bits and bytes, and by what it knows of JSON and ZIP.

The same seed gives the same bytes, so a finding is repeated from its number. Start from `mutate`.
"""

import io
import json
import random
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import Any

_LENGTHS = (0, 1, 2, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1)
_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 0.5, 10**6, 2**40, 10**400, 1e308, float("nan"), float("inf")),
    *("", "x", "..", "../../evil", "/etc/passwd", "\ud800", "\x1b[2J", "a\nb", "NaN"),
    *([], {}, [[]], [None], [2**31, 2**31], {"class_name": "x", "config": {}}),
    *("os", "os.system", "builtins", "keras.src.utils", "Lambda", "TFSMLayer", "__lambda__"),
)
_PNG = b"\x89PNG\r\n\x1a\n"
# What Python's own writer of JSON would not write.
_TEXTS = {"<deep>": "[" * 100_000, "<nested>": "[" * 900 + "]" * 900, "<digits>": "9" * 5000}
_NAMES = ("../evil", "/evil", "a\\..\\evil", "evil\n", "config.json", "x" * 300, "")


def mutate(seed: bytes, others: Sequence[bytes], number: int) -> bytes:
    """Damages a file.

    Args:
        seed: the file.
        others: files of the same kind, parts of which may be put in.
        number: chooses what is done.
    """
    chooser = random.Random(number)
    contents = seed
    # Mostly one change: several at once rarely get past the first check.
    for _ in range(chooser.choice((1, 1, 1, 2, 4))):
        ways: list[Callable[[bytes, Sequence[bytes], random.Random], bytes]] = list(_WAYS)
        if contents[:1] in (b"{", b"["):
            ways += [_edit_json] * 4 * len(_WAYS)
        elif b"PK\x05\x06" in contents[-64:]:
            ways += [_edit_zip] * 2 * len(_WAYS)
        elif contents[8:9] == b"{" and contents[2:8] == bytes(6):
            ways += [_edit_safetensors] * len(_WAYS)
        contents = chooser.choice(ways)(contents, others, chooser)
    if contents.startswith(_PNG) and chooser.random() < 0.7:
        return _with_checksums(contents)
    return contents


def _flip_bits(contents: bytes, _: Sequence[bytes], chooser: random.Random) -> bytes:
    changed = bytearray(contents)
    for _bit in range(chooser.choice((1, 1, 2, 8)) if changed else 0):
        changed[_place(contents, chooser)] ^= 1 << chooser.randrange(8)
    return bytes(changed)


def _set_bytes(contents: bytes, _: Sequence[bytes], chooser: random.Random) -> bytes:
    start = _place(contents, chooser)
    run = chooser.choice((b"\x00", b"\xff", b"\x80", chooser.randbytes(1))) * chooser.choice(
        (1, 2, 4, 16)
    )
    return contents[:start] + run + contents[start + len(run) :]


def _set_length(contents: bytes, _: Sequence[bytes], chooser: random.Random) -> bytes:
    """Overwrites what may be a size, in both byte orders."""
    kind = chooser.choice(("<H", ">H", "<I", ">I", "<Q"))
    bits = 8 * struct.calcsize(kind)
    length = chooser.choice((*_LENGTHS, len(contents), 2**bits - 1)) % 2**bits
    start = _place(contents, chooser)
    field = struct.pack(kind, length)
    return contents[:start] + field + contents[start + len(field) :]


def _truncate(contents: bytes, _: Sequence[bytes], chooser: random.Random) -> bytes:
    return contents[: _place(contents, chooser)]


def _cut_out(contents: bytes, _: Sequence[bytes], chooser: random.Random) -> bytes:
    start = _place(contents, chooser)
    return contents[:start] + contents[start + chooser.choice((1, 4, 64, 1024)) :]


def _repeat(contents: bytes, _: Sequence[bytes], chooser: random.Random) -> bytes:
    start = _place(contents, chooser)
    part = contents[start : start + chooser.choice((1, 4, 64, 1024))]
    return contents[:start] + part * chooser.choice((2, 3, 50)) + contents[start + len(part) :]


def _splice(contents: bytes, others: Sequence[bytes], chooser: random.Random) -> bytes:
    other = chooser.choice(others or [contents])
    start = _place(other, chooser)
    part = other[start : start + chooser.choice((4, 64, 1024, len(other)))]
    place = _place(contents, chooser)
    return contents[:place] + part + contents[place + chooser.choice((0, len(part))) :]


def _place(contents: bytes, chooser: random.Random) -> int:
    """Somewhere, every other time among the first bytes, where the headers are."""
    length = max(len(contents), 1)
    return chooser.randrange(min(length, chooser.choice((64, length))))


_WAYS = (_flip_bits, _set_bytes, _set_length, _truncate, _cut_out, _repeat, _splice)


def _edit_json(contents: bytes, _: Sequence[bytes], chooser: random.Random) -> bytes:
    """Changes one value of a JSON text, or of one line of several."""
    lines = contents.split(b"\n")
    number = chooser.randrange(len(lines))
    try:
        value = json.loads(contents)
    except ValueError:
        try:
            value = json.loads(lines[number])
        except (ValueError, RecursionError):
            return contents
        lines[number] = _dump(_change(value, chooser))
        return b"\n".join(lines)
    except RecursionError:
        return contents
    return _dump(_change(value, chooser))


def _dump(value: Any) -> bytes:
    text = json.dumps(value)
    for name, hostile in _TEXTS.items():
        text = text.replace(json.dumps(name), hostile)
    return text.encode()


def _change(value: Any, chooser: random.Random) -> Any:
    if isinstance(value, (dict, list)) and value and chooser.random() < 0.9:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = chooser.choice(keys)
        if chooser.random() < 0.1:
            del value[key]
        else:
            value[key] = _change(value[key], chooser)
        return value
    return chooser.choice((*_VALUES, *_TEXTS))


def _edit_safetensors(contents: bytes, _: Sequence[bytes], chooser: random.Random) -> bytes:
    """Changes the table of a .safetensors file and puts its length right."""
    length = int.from_bytes(contents[:8], "little")
    header = _edit_json(contents[8 : 8 + length], (), chooser)
    return struct.pack("<Q", len(header)) + header + contents[8 + length :]


def _with_checksums(contents: bytes) -> bytes:
    """A PNG whose chunks have the right checksums, so that more than the checksum is tried."""
    result, position = _PNG, len(_PNG)
    while position + 12 <= len(contents):
        (length,) = struct.unpack_from(">I", contents, position)
        chunk = contents[position + 4 : position + 8 + length]
        result += contents[position : position + 4] + chunk
        result += struct.pack(">I", zlib.crc32(chunk))
        position += 12 + length
    return result + contents[position:]


def _edit_zip(contents: bytes, others: Sequence[bytes], chooser: random.Random) -> bytes:
    """Packs an archive again with one member changed, so that its checksum is right."""
    try:
        with zipfile.ZipFile(io.BytesIO(contents)) as archive:
            start = min((i.header_offset for i in archive.infolist()), default=0)
            members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except Exception:  # it was damaged before
        return contents
    stream = io.BytesIO()
    stream.write(contents[:start])
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as archive:
        warnings.simplefilter("ignore")  # of a name that is there twice
        chosen = chooser.randrange(max(len(members), 1))
        for number, (name, data) in enumerate(members):
            kind = zipfile.ZIP_STORED
            if number == chosen:
                way = chooser.randrange(10)
                if way == 0:
                    name = chooser.choice(_NAMES) or "x"
                elif way == 1:
                    kind, data = zipfile.ZIP_DEFLATED, data + bytes(10**6)
                elif way == 2:
                    continue
                else:
                    data = mutate(data, (), chooser.randrange(2**32))
            archive.writestr(name, data, kind)
            if number == chosen and chooser.random() < 0.05:
                archive.writestr(name, data, kind)
    return stream.getvalue()
