"""From every cell of a table to the run folders that it is from. Start from `trace`."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from qtdog_tf.benchmark_tables.selection import Choice
from qtdog_tf.benchmark_tables.table import Table


def trace(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """Where every own figure is from, as plain values for JSON.

    Returns:
        For each table {"table", "selection", "rows"}; a row is {"method", "cells"}, and "cells" has
        by column "mean", "error" (both in %, null if there are too few) and "from": for each run
        "target", "trial" and the fields of `Choice`. Published rows have their source instead.
    """
    return [
        {
            "table": table.title,
            "selection": table.selection,
            "rows": [
                {
                    "method": line.name,
                    **({"published": line.rests_on} if line.published else {}),
                    "cells": {
                        column: {
                            "mean": cell.mean,
                            "error": cell.error,
                            "from": [_plain(*choice) for choice in cell.choices],
                        }
                        for column, cell in zip(table.columns, line.cells, strict=True)
                    },
                }
                for line in table.lines
            ],
        }
        for table in tables
    ]


def _plain(target: str, trial: int, choice: Choice) -> dict[str, Any]:
    values = dataclasses.asdict(choice)
    paths = {"run": str(choice.run), "rests_on": list(map(str, choice.rests_on))}
    return {"target": target, "trial": trial, **values, **paths}
