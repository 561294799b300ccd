"""Reads the summary.json of finished runs for a table, checked: files decay, and people edit."""

from pathlib import Path
from typing import Any

from qtdog_tf.errors import UserError
from qtdog_tf.evaluation.run_values import is_printable, read_values


def read_summary(path: Path) -> dict[str, Any]:
    """Reads what a table takes from a summary.json.

    Raises:
        UserError: if the file is damaged, naming what is missing or of the wrong type.
    """
    values = read_values(path)
    wrong = _what_is_wrong(values)
    if wrong is not None:
        raise UserError(f"{path} is damaged ({wrong}): restore it, or train the run again")
    return values


def _what_is_wrong(values: Any) -> str | None:
    if not isinstance(values, dict):
        return "it holds no table of names and values"
    targets = values.get("targets")
    if not isinstance(targets, list) or not all(is_printable(name) for name in targets):
        return "'targets' must be a list of names"
    if type(values.get("trial_seed")) is not int:
        return "'trial_seed' is missing or no whole number"
    variant = values.get("variant")
    if not isinstance(variant, dict) or not is_printable(variant.get("name")):
        return "'variant' must hold a name"
    if not is_printable(values.get("algorithm", "erm")):
        return "'algorithm' must be a name"
    rows = values.get("rows")
    if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
        return "'rows' must be a table of tables"
    for row in rows.values():
        for key, value in row.items():
            # Accuracies lie in 0 to 1; a number of 400 digits is no float.
            if key.startswith("target_") and not (_is_number(value) and -1e9 < value < 1e9):
                return f"{key!r} must be a number"
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
