"""Checks what was read from a JSON file against what it should hold.

A shape is written like the values it stands for: {"name": TEXT, "curves": [{"mean": [NUMBER]}]}.
A key that ends in "?" may be absent. Start from `read_checked`.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtdog_tf.errors import UserError, one_line
from qtdog_tf.files import read_json

_MAX_BYTES = 64 * 2**20
Shape = Any


class Plain:
    """A shape of a single value.

    Args:
        name: of what it is, for sentences.
        fits: whether a value is one.
    """

    def __init__(self, name: str, fits: Callable[[Any], bool]) -> None:
        self.name = name
        self.fits = fits


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    # A whole number of 400 digits is no float.
    return isinstance(value, float) or abs(value) < 2**63


NUMBER = Plain("a number", lambda v: _is_number(v) and math.isfinite(v))
NUMBER_OR_NONE = Plain("a number or null", lambda v: v is None or _is_number(v))
COUNT = Plain("a whole number of at least 0", lambda v: type(v) is int and 0 <= v < 2**63)
COUNT_OR_NONE = Plain(
    "a whole number or null", lambda v: v is None or (type(v) is int and 0 <= v < 2**63)
)
TEXT = Plain("a text", lambda v: isinstance(v, str))
TEXT_OR_COUNT = Plain("a name or a number", lambda v: isinstance(v, str) or type(v) is int)
FLAG = Plain("true or false", lambda v: isinstance(v, bool))
TABLE = Plain("a table of names and values", lambda v: isinstance(v, dict))
ANYTHING = Plain("anything", lambda v: True)


class OrNone:
    """A shape, or null.

    Args:
        shape: the shape.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape


class Each:
    """A table of any names, each of which stands for a value of one shape.

    Args:
        shape: of the values.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape


def read_checked(path: Path, shape: Shape, remedy: str) -> Any:
    """Reads a JSON file of a known shape.

    Args:
        path: the file.
        shape: what it must hold.
        remedy: how to get a good one, for the sentence: "run tools.analyze again" for example.

    Raises:
        UserError: if it cannot be read, is too large, no JSON, or of another shape, naming where.
    """
    values = read_any(path, remedy)
    check(path, values, shape, remedy)
    return values


def read_any(path: Path, remedy: str) -> Any:
    """Reads a JSON file of any shape; see `read_checked`."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UserError(f"{path} is larger than {_MAX_BYTES:,} bytes: {remedy}")
        return read_json(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): {remedy}") from error
    except UserError:
        raise
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({one_line(error, 120)}): {remedy}") from error


def check(path: Path, values: Any, shape: Shape, remedy: str) -> None:
    """Checks what was read from a file.

    Raises:
        UserError: if it is of another shape, naming where.
    """
    wrong = mismatch(values, shape)
    if wrong is not None:
        raise UserError(f"{path} is damaged ({wrong}): {remedy}")


def mismatch(value: Any, shape: Shape, where: str = "it") -> str | None:
    """What is not of that shape, as part of a sentence; None if nothing is."""
    if isinstance(shape, Plain):
        return None if shape.fits(value) else f"{where} is not {shape.name}"
    if isinstance(shape, OrNone):
        return None if value is None else mismatch(value, shape.shape, where)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{where} is not a list"
        return _first(mismatch(v, shape[0], f"{where}[{i}]") for i, v in enumerate(value))
    if not isinstance(value, dict):
        return f"{where} is not a table of names and values"
    if isinstance(shape, Each):
        return _first(mismatch(v, shape.shape, _inside(where, k)) for k, v in value.items())
    for key, part in shape.items():
        name = key.removesuffix("?")
        if name not in value:
            if key.endswith("?"):
                continue
            return f"{_inside(where, name)} is missing"
        wrong = mismatch(value[name], part, _inside(where, name))
        if wrong is not None:
            return wrong
    return None


def _inside(where: str, name: str) -> str:
    return one_line(ValueError(name if where == "it" else f"{where}.{name}"), 80)


def _first(found: Any) -> str | None:
    return next((wrong for wrong in found if wrong is not None), None)
