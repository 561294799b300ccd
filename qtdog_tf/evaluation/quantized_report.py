"""A run quantized after training as text for a person: each model beside the float one."""

from collections.abc import Mapping
from typing import Any

from qtdog_tf.evaluation.method_names import row_of_model
from qtdog_tf.evaluation.run_folder import MODELS
from qtdog_tf.tables import format_table
from qtdog_tf.training.tables import percent

QUANTIZED_LEGEND = """\
Accuracies in %, float -> quantized: source validation (mean over source domains), and the target's
"in" and "out" parts. MB: codes at their bit width and step sizes; everything else in float32."""

_KEYS = ("source_accuracy", "target_in", "target_out")


def quantized_table(summary: Mapping[str, Any]) -> str:
    """A table with one row a model.

    Args:
        summary: what `quantize_run` returned.
    """
    rows = []
    for model in MODELS:
        row = row_of_model(model)
        if row in summary["rows"]:
            before, after = summary["float_rows"][row], summary["rows"][row]
            pairs = ((before.get(key), after.get(key)) for key in _KEYS)
            rows.append([model, *(f"{percent(a)} -> {percent(b)}" for a, b in pairs)])
    sizes = f"{summary['float_bytes'] / 1e6:.2f} MB -> {summary['bytes'] / 1e6:.2f} MB"
    header = [f"{summary['variant']['name']}, {sizes}", "source val.", "target in", "target out"]
    return format_table(header, rows) + "\n" + QUANTIZED_LEGEND
