"""The figures of analyses as a table: one row a method, mean and error over its runs."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from qtdog_tf.analysis.directions import RAW
from qtdog_tf.analysis.flatness import DEQUANTIZED
from qtdog_tf.records import SOURCE, TARGET
from qtdog_tf.statistics import standard_error
from qtdog_tf.tables import format_table

Values = dict[str, Any]


def method_table(records: Iterable[Values]) -> str:
    """One row a method and model, one column a figure that any of them has.

    Args:
        records: what `Record.describe` returned, of any analyses.
    """
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        for column, of_result in _COLUMNS.get(record["analysis"], {}).items():
            value = of_result(record["result"], record["model"])
            if value is not None:
                found[record["method"]][column].append(value)
    columns = [c for of in _COLUMNS.values() for c in of if any(c in row for row in found.values())]
    rows = [
        [method, str(max(map(len, row.values()))), *(_cell(row.get(c, [])) for c in columns)]
        for method, row in found.items()
    ]
    return "\n".join([format_table(["method", "runs", *columns], rows), LEGEND])


LEGEND = """\
Mean +- standard error over runs. accuracy and ECE: of targets; worst group: the class of a target
that is recognised least. F(r): rise of the loss at distance r, random directions, weights
dequantized. top, trace: largest eigenvalue and trace of the Hessian of the training loss. KL: of
the rounding noise against a uniform distribution, median layer; inside: of the noise over its
channel's step size, clipped weights left out. std after K: of the target's accuracy."""


def _cell(values: Sequence[float]) -> str:
    if not values:
        return "-"
    error = f" +- {standard_error(values):.2g}" if len(values) > 1 else ""
    return f"{np.mean(values):.3g}{error}"


def _mean_of_targets(key: str) -> Callable[[Values, str], float | None]:
    def figure(result: Values, model: str) -> float | None:
        values = [d[key] for d in result["domains"] if d["role"] == TARGET]
        return float(np.mean(values)) if values else None

    return figure


def _worst(result: Values, model: str) -> float | None:
    return result["worst"]["accuracy"] if result["worst"] else None


def _rise(role: str) -> Callable[[Values, str], float | None]:
    def figure(result: Values, model: str) -> float | None:
        for curve in result["curves"]:
            if (curve["role"], curve["direction"], curve["weights"]) == (role, RAW, DEQUANTIZED):
                return curve["mean"][-1]
        return None

    return figure


def _median_of_layers(key: str) -> Callable[[Values, str], float | None]:
    def figure(result: Values, model: str) -> float | None:
        values = [layer[key] for layer in result["layers"]]
        return float(np.median(values)) if values else None

    return figure


def _deviation(result: Values, model: str) -> float | None:
    weights = model.partition("_")[2] or "raw"
    return result["weights"].get(weights, {}).get("std_after_start")


_COLUMNS: dict[str, dict[str, Callable[[Values, str], float | None]]] = {
    "calibration": {
        "accuracy": _mean_of_targets("accuracy"),
        "ECE": _mean_of_targets("ece"),
        "worst group": _worst,
    },
    "flatness": {"F(r) train": _rise(SOURCE), "F(r) target": _rise(TARGET)},
    "hessian": {
        "top": lambda result, model: result["top"]["value"],
        "trace": lambda result, model: result["trace"]["mean"],
    },
    "noise": {"KL": _median_of_layers("kl"), "KL inside": _median_of_layers("kl_inside")},
    "stability": {"std after K": _deviation},
}
