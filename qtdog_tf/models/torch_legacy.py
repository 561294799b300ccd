"""Reads tensors from a .pth file of torch's legacy (before zip) format, without torch.

Such a file is five pickles (magic number, protocol, machine, tensors by name, storage keys) and
then the storages: for each key the number of elements (int64) and the elements, little-endian. A
pickle is a program that may call anything, so nothing here runs one: `pickletools` only splits it
into instructions, and `_interpret` knows the few of them that a table of tensors needs. What refers
outside (the four names in `_GLOBALS`) becomes plain data. All else is refused.

Start with `read_legacy_checkpoint`.
"""

import math
import mmap
import pickletools
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from qtdog_tf.errors import UserError, one_line

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_GLOBALS = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch FloatStorage",
    "torch LongStorage",
}
_DTYPES: dict[str, np.dtype[Any]] = {
    "torch FloatStorage": np.dtype("<f4"),
    "torch LongStorage": np.dtype("<i8"),
}
# Of one pickle: ResNet-152 takes 60,000. One byte of a file can make an object of 64.
_MAX_INSTRUCTIONS = 2_000_000
# Views of one storage are copied each, so a small file could ask for any amount.
_MAX_SHARING = 4
_MARK = object()


@dataclass(frozen=True)
class _Global:
    """One of the names in `_GLOBALS`; stands for the Python object that is never looked up."""

    name: str


@dataclass(frozen=True)
class _Storage:
    """A flat array that follows the pickles."""

    dtype: np.dtype[Any]
    key: str
    numel: int


@dataclass(frozen=True)
class _Tensor:
    """A strided view of a storage; offset and strides count elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Malformed(Exception):
    """The file is not what this module reads; the message says why."""


def read_legacy_checkpoint(path: str | Path) -> dict[str, np.ndarray]:
    """Reads the tensors of a legacy torch checkpoint.

    Args:
        path: the .pth file.

    Returns:
        Tensor name -> array (float32 or int64), in the file's order.

    Raises:
        UserError: if the file cannot be read, is not such a checkpoint, is cut short, or asks for
            anything but building tensors.
    """
    try:
        with (
            open(path, "rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as contents,
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # of odd escapes in a damaged file's names
            return _read(contents)
    except (_Malformed, ValueError, struct.error, OverflowError) as error:
        raise UserError(
            f"{path} is not a torch checkpoint that can be read: {one_line(error)}"
        ) from (error)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def _read(contents: mmap.mmap) -> dict[str, np.ndarray]:
    """Reads the whole file."""
    if _interpret(contents) != _MAGIC or _interpret(contents) != _PROTOCOL:
        raise _Malformed("it does not start as torch's legacy format")
    machine = _interpret(contents)
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise _Malformed("it was written on a big-endian machine")
    tensors, keys = _interpret(contents), _interpret(contents)
    if not isinstance(tensors, dict) or not isinstance(keys, list):
        raise _Malformed("it is not a table of tensors")
    if not all(isinstance(tensor, _Tensor) for tensor in tensors.values()):
        raise _Malformed("it is not a table of tensors")
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    if not all(isinstance(key, str) for key in keys) or sorted(keys) != sorted(storages):
        raise _Malformed("its tensors and its storages do not belong together")
    arrays = {key: _read_storage(contents, storages[key]) for key in keys}
    left = _MAX_SHARING * sum(array.size for array in arrays.values())
    views = {}
    for name, tensor in tensors.items():
        views[name] = _view(tensor, arrays[tensor.storage.key])
        left -= views[name].size
        if left < 0:
            raise _Malformed("its tensors are many times larger than what is stored")
    return views


def _read_storage(contents: mmap.mmap, storage: _Storage) -> np.ndarray:
    """Reads one storage at the current position."""
    (numel,) = struct.unpack("<q", contents.read(8))
    if numel != storage.numel:
        raise _Malformed(
            f"storage {storage.key[:80]} has {numel} elements, expected {storage.numel}"
        )
    data = contents.read(numel * storage.dtype.itemsize)
    return np.frombuffer(data, storage.dtype, count=numel)


def _view(tensor: _Tensor, array: np.ndarray) -> np.ndarray:
    """Returns the tensor as an array of its own, in C order, after checking its bounds."""
    shape, strides = tensor.shape, tensor.strides
    last = tensor.offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    if last >= array.size or math.prod(shape) > array.size:
        raise _Malformed(f"a tensor of shape {list(shape)} reaches outside its storage")
    steps = [s * array.itemsize if n > 1 else 0 for n, s in zip(shape, strides, strict=True)]
    view = np.lib.stride_tricks.as_strided(array[tensor.offset :], shape, steps, writeable=False)
    return np.ascontiguousarray(view).reshape(shape)


def _interpret(contents: BinaryIO | mmap.mmap) -> Any:
    """Evaluates one pickle made of plain data and tensors; leaves the position after it."""
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    for count, (opcode, argument, _) in enumerate(pickletools.genops(contents)):  # type: ignore[arg-type]
        if count > _MAX_INSTRUCTIONS:
            raise _Malformed("it is longer than any table of tensors")
        name: str = opcode.name
        if name == "STOP":
            return _pop(stack)
        if name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = _top(stack)
        elif name in ("BINGET", "LONG_BINGET"):
            if argument not in memo:
                raise _Malformed("it refers to a value that it does not hold")
            stack.append(memo[argument])
        else:
            _execute(name, argument, stack)
    raise _Malformed("it is cut short")


def _execute(name: str, argument: Any, stack: list[Any]) -> None:
    """Executes one instruction that touches the stack only."""
    if name in ("BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE"):
        stack.append(argument)
    elif name in _CONSTANTS:
        stack.append(_CONSTANTS[name]())
    elif name in _TUPLES:
        stack.append(tuple(reversed([_pop(stack) for _ in range(_TUPLES[name])])))
    elif name == "TUPLE":
        stack.append(tuple(_pop_to_mark(stack)))
    elif name == "GLOBAL":
        if argument not in _GLOBALS:
            raise _Malformed(
                f"it asks to run {argument[:80].replace(' ', '.')!r}, which is refused"
            )
        stack.append(_Global(argument))
    elif name == "BINPERSID":
        stack.append(_storage(_pop(stack)))
    elif name == "REDUCE":
        arguments = _pop(stack)
        stack.append(_call(_pop(stack), arguments))
    elif name in ("SETITEM", "SETITEMS"):
        items = _pop_to_mark(stack) if name == "SETITEMS" else [_pop(stack), _pop(stack)][::-1]
        _set_items(_top(stack), items)
    elif name in ("APPEND", "APPENDS"):
        values = _pop_to_mark(stack) if name == "APPENDS" else [_pop(stack)]
        if not isinstance(_top(stack), list):
            raise _Malformed("it appends to something that is no list")
        stack[-1].extend(values)
    elif name == "BUILD":
        _pop(stack)  # the module versions that torch hangs on the table; nothing needs them
        if not isinstance(_top(stack), dict):
            raise _Malformed("it sets attributes")
    elif name != "PROTO":
        raise _Malformed(f"it holds the instruction {name}, which no table of tensors needs")


_CONSTANTS: dict[str, Any] = {
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "MARK": lambda: _MARK,
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def _top(stack: list[Any]) -> Any:
    if not stack:
        raise _Malformed("it uses a value that it does not hold")
    return stack[-1]


def _pop(stack: list[Any]) -> Any:
    _top(stack)
    return stack.pop()


def _pop_to_mark(stack: list[Any]) -> list[Any]:
    values = []
    while (value := _pop(stack)) is not _MARK:
        values.append(value)
    return values[::-1]


def _set_items(target: Any, items: list[Any]) -> None:
    keys, values = items[::2], items[1::2]
    if not isinstance(target, dict) or len(keys) != len(values):
        raise _Malformed("it fills something that is no table")
    if not all(isinstance(key, str) for key in keys):
        raise _Malformed("a key is no text")
    target.update(zip(keys, values, strict=True))


def _storage(reference: Any) -> _Storage:
    """Checks torch's reference: ('storage', type, key, device, number of elements, view)."""
    match reference:
        case ("storage", _Global() as kind, str() as key, str(), int() as numel, None) if (
            kind.name in _DTYPES and numel >= 0
        ):
            return _Storage(_DTYPES[kind.name], key, numel)
    raise _Malformed("it refers to data of a kind that is not read")


def _call(function: Any, arguments: Any) -> Any:
    """Does what torch's two constructors would do."""
    match function, arguments:
        case _Global("collections OrderedDict"), ():
            return {}
        case (
            _Global("torch._utils _rebuild_tensor_v2"),
            (_Storage() as storage, int(offset), tuple(shape), tuple(strides), bool(), {}),
        ):
            numbers = (offset, *shape, *strides)
            if len(shape) != len(strides) or not all(type(n) is int and n >= 0 for n in numbers):
                raise _Malformed("a tensor's shape is not made of whole numbers")
            if 0 in shape:
                raise _Malformed("a tensor is empty")
            return _Tensor(storage, offset, shape, strides)
    raise _Malformed("it builds something that is no tensor")
