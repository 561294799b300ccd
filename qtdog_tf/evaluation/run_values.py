"""The values of a run.json, checked: programs and people write there, and files decay."""

from pathlib import Path
from typing import Any

from qtdog_tf.errors import UserError

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
    variant = values["variant"]
    texts = isinstance(variant.get("name"), str) and isinstance(variant.get("mode"), str)
    if not texts or not isinstance(variant.get("bits"), int):
        return "'variant' must hold a name, a mode and bits"
    return None
