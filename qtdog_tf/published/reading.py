"""Reads the JSON files of published figures, checked: a misspelled name would be a lost figure."""

import json
from importlib import resources
from typing import Any

from qtdog_tf.data.catalog import CATALOG

AVERAGE = "average"
SOURCE, TARGET = "source", "target"

_FILES = ("main_tables.json", "ablations.json", "other_backbones.json")
_ELSEWHERE = (AVERAGE, "wilds_amazon", "wilds_camelyon", "none")
_OF_TABLE = {"section", "source", "backbone", "columns", "rows"}
_OF_ROW = {"method", "values"}
_MORE_OF_TABLE = {"unit", "setting"}
_MORE_OF_ROW = {"average", "bits", "models", "size", "compression", "setting", "doubtful", "note"}
Table = dict[str, Any]


def read_tables() -> dict[str, Table]:
    """Every table by name, as it stands in the files.

    Raises:
        ValueError: if one says what cannot be, naming it.
    """
    tables: dict[str, Table] = {}
    for name in _FILES:
        text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
        found = json.loads(text, object_pairs_hook=_without_repetition)
        twice = tables.keys() & found.keys()
        if twice:
            raise ValueError(f"tables {sorted(twice)} are in two files")
        tables |= found
    for name, table in tables.items():
        check_table(name, table)
    return tables


def check_table(name: str, table: Table) -> None:
    """Checks one table.

    Args:
        name: of the table, for the sentence.
        table: as it stands in a file.

    Raises:
        ValueError: if it says what cannot be, naming it.
    """
    _check_names(name, table, _OF_TABLE, _MORE_OF_TABLE)
    for column in table["columns"]:
        _check_column(name, column)
    rows = set()
    for row in table["rows"]:
        _check_names(f"{name}, {row.get('method')}", row, _OF_ROW, _MORE_OF_ROW)
        _check_row(f"{name}, {row['method']}", row, table)
        rows.add((row["method"], row.get("bits"), json.dumps(row.get("setting", {}))))
    if len(rows) < len(table["rows"]):
        raise ValueError(f"{name} has a row twice")


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError(f"a name is there twice among {[name for name, _ in pairs]}")
    return values


def _check_names(where: str, values: Table, needed: set[str], allowed: set[str]) -> None:
    wrong = (needed - values.keys()) | (values.keys() - needed - allowed)
    if wrong:
        raise ValueError(f"{where}: {sorted(wrong)} is missing or unknown")


def _check_column(name: str, column: Table) -> None:
    _check_names(f"{name}, columns", column, {"data"}, {"domain", "part"})
    data, domain = column["data"], column.get("domain")
    if data not in CATALOG and data not in _ELSEWHERE:
        raise ValueError(f"{name}: there is no data set {data!r}")
    if domain is not None and domain not in CATALOG[data].domains:
        raise ValueError(f"{name}: {data} has no domain {domain!r}")
    if column.get("part", TARGET) not in (SOURCE, TARGET, "none"):
        raise ValueError(f"{name}: part must be source, target or none")


def _check_row(where: str, row: Table, table: Table) -> None:
    if len(row["values"]) != len(table["columns"]):
        raise ValueError(f"{where}: {len(table['columns'])} values are needed")
    for value in [*row["values"], row.get("average")]:
        mean, error = value if isinstance(value, list) else (value, 0)
        if mean is not None and not (0 < mean < 100 and 0 <= error < 10):
            raise ValueError(f"{where}: {value} is no accuracy in %")
    if not 2 <= row.get("bits", 32) <= 32:
        raise ValueError(f"{where}: bits must be from 2 to 32")
    known = {AVERAGE, *(column["data"] for column in table["columns"])}
    if not set(row.get("doubtful", [])) <= known or ("doubtful" in row and not row.get("note")):
        raise ValueError(f"{where}: doubtful must name columns, and a note must say why")
