"""Absl flags made from settings classes, so that a default is written once."""

import dataclasses
from typing import Any, TypeVar

from absl import flags

from qtdog_tf.settings import Settings

T = TypeVar("T", bound=Settings)
# The flags are those of the program that calls this, also for --help.
flags.disclaim_key_flags()


def define_flags(
    *classes: type[Settings], prefix: str = "", values: flags.FlagValues = flags.FLAGS
) -> None:
    """Defines one flag for each field of the settings classes, with its default and help.

    Args:
        *classes: the settings.
        prefix: of the names of the flags.
        values: where. Default: the flags of the program.
    """
    for cls in classes:
        for field in dataclasses.fields(cls):  # type: ignore[arg-type]
            _define(field, prefix + field.name, values)


def _define(field: dataclasses.Field, name: str, values: flags.FlagValues) -> None:
    meta = field.metadata
    if meta["choices"] is not None:
        choices = list(meta["choices"])
        flags.DEFINE_enum(name, field.default, choices, meta["help"], flag_values=values)
        return
    define = {
        bool: flags.DEFINE_bool,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
        tuple: flags.DEFINE_list,
    }[type(field.default)]
    default: Any = list(field.default) if isinstance(field.default, tuple) else field.default
    define(name, default, meta["help"], flag_values=values)


def settings_from_flags(
    cls: type[T], prefix: str = "", values: flags.FlagValues = flags.FLAGS
) -> T:
    """An instance of a settings class with the values of the flags.

    Args:
        cls: the settings.
        prefix: of the names of the flags, as for `define_flags`.
        values: the flags, as for `define_flags`.

    Raises:
        UserError: if a value is not allowed.
    """
    given: dict[str, Any] = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        value = values[prefix + field.name].value
        given[field.name] = tuple(value) if isinstance(field.default, tuple) else value
    return cls(**given)
