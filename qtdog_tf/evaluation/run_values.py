"""The values of a run.json, checked: programs and people write there, and files decay."""

from pathlib import Path
from typing import Any
from unicodedata import category

from qtdog_tf.errors import UserError, one_line
from qtdog_tf.files import read_json

# What a later program needs to use the models of a run.
RUN_VALUES: dict[str, type | tuple[type, ...]] = {
    "variant": dict,
    "data": str,
    "holdout": (int, float),
    "split_by": str,
    "backbone": str,
    "image_size": int,
    "classes": list,
    "sources": list,
    "targets": list,
    "trial_seed": int,
    "listing": str,
    "split": str,
}
_MAX_BYTES = 16 * 2**20
_LARGEST = {"image_size": 2**14, "trial_seed": 2**63 - 1}
_NAMES = ("classes", "sources", "targets", "variant")
# An ensemble has one such table, with these beside, for each of its members.
MEMBERS = "members"
MEMBER_VALUES = {"run": str, "model": str, **RUN_VALUES}


def check_values(path: Path, values: Any) -> None:
    """Checks what was read from a run.json.

    Args:
        path: the file, for the sentence.
        values: what is in it.

    Raises:
        UserError: if a value is missing or of the wrong type, naming it.
    """
    wrong = _what_is_wrong(values, RUN_VALUES) or _wrong_member(values)
    if wrong is not None:
        raise UserError(f"{path} is damaged ({wrong}): restore it, or train the run again")


def _wrong_member(values: dict[str, Any]) -> str | None:
    members = values.get(MEMBERS, [])
    if not isinstance(members, list):
        return f"{MEMBERS!r} is of the wrong type"
    for number, member in enumerate(members):
        wrong = _what_is_wrong(member, MEMBER_VALUES)
        if wrong is not None:
            return f"member {number}: {wrong}"
    return None


def read_values(path: Path) -> Any:
    """Reads the values that a run.json holds, unchecked.

    Raises:
        UserError: if the file is too large, or not JSON.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UserError(f"{path} is larger than {_MAX_BYTES:,} bytes, which no {path.name} is")
        return read_json(path)
    except UserError:
        raise
    except (ValueError, RecursionError) as error:
        # A number of thousands of digits, or a thousand brackets.
        reason = one_line(error).partition(";")[0]
        raise UserError(f"{path} is damaged ({reason}): restore it, or train the run again") from (
            error
        )


def is_printable(text: Any) -> bool:
    """Whether it is a text that a terminal can show: no control characters, no half characters."""
    return isinstance(text, str) and not any(category(c) in ("Cc", "Cs") for c in text)


def _what_is_wrong(values: Any, expected: dict[str, Any]) -> str | None:
    if not isinstance(values, dict):
        return "it holds no table of names and values"
    for name, kind in expected.items():
        value = values.get(name)
        # In Python, True is an integer.
        if not isinstance(value, kind) or isinstance(value, bool):
            return f"{name!r} is missing or of the wrong type"
        if isinstance(value, list) and not all(isinstance(item, str) for item in value):
            return f"{name!r} must be a list of names"
        if name in _LARGEST and not 0 <= value <= _LARGEST[name]:
            return f"{name!r} must be from 0 to {_LARGEST[name]:,}"
    if not 0 <= values["holdout"] <= 1:
        return "'holdout' must be from 0 to 1"
    if not values["classes"] or not values["image_size"]:
        return "'classes' and 'image_size' must not be empty"
    variant = values["variant"]
    texts = isinstance(variant.get("name"), str) and isinstance(variant.get("mode"), str)
    if not texts or not isinstance(variant.get("bits"), int):
        return "'variant' must hold a name, a mode and bits"
    return _unprintable(values)


def _unprintable(values: dict[str, Any]) -> str | None:
    """Names are printed: none may fail to, or move the cursor of a terminal."""
    for name in RUN_VALUES:
        value = values[name]
        several = value.values() if isinstance(value, dict) else value
        texts = [value] if isinstance(value, str) else several if name in _NAMES else []
        for text in texts:
            if isinstance(text, str) and not is_printable(text):
                return f"{name!r} holds a character that cannot be printed"
    return None
