"""Settings: frozen dataclasses that are checked at construction and explain themselves.

A program's flags are made from them (`tools/_flags.py`), so a default, its meaning and its limits
stand in one place. Start from `setting`.
"""

import dataclasses
from typing import Any

from qtdog_tf.errors import UserError


def setting(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Any:
    """A field of a settings class.

    Args:
        default: the default value; its type is the type of the setting.
        help: one sentence for `--help`; names the unit, and the source of the default.
        choices: the values allowed.
        at_least: the smallest value allowed.
        at_most: the largest value allowed.
    """
    limits = {"choices": choices, "at_least": at_least, "at_most": at_most}
    return dataclasses.field(default=default, metadata={"help": help, **limits})


class Settings:
    """Base of settings dataclasses: checks every field when an instance is made.

    Raises:
        UserError: naming the setting, the value received and the values allowed.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            _check(field, getattr(self, field.name))


def _check(field: dataclasses.Field, value: Any) -> None:
    limits = field.metadata
    choices, low, high = limits.get("choices"), limits.get("at_least"), limits.get("at_most")
    if choices is not None and value not in choices:
        raise UserError(f"{field.name} must be one of {', '.join(choices)}; received {value!r}")
    if low is not None and not value >= low:
        raise UserError(f"{field.name} must be at least {low}; received {value}")
    if high is not None and not value <= high:
        raise UserError(f"{field.name} must be at most {high}; received {value}")


def difference(mine: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The settings that differ, as `name: mine / other`, sorted by name."""
    names = sorted(mine.keys() | other.keys())
    return [
        f"{n}: {mine.get(n)!r} / {other.get(n)!r}" for n in names if mine.get(n) != other.get(n)
    ]
