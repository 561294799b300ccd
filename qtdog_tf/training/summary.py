"""The outcome of one run under every selection rule, always side by side."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from qtdog_tf.training.evaluation import IN, OUT, RAW, SMA, Evaluation
from qtdog_tf.training.selection import RULES, candidates, select
from qtdog_tf.training.variants import Variant

# The rows of a summary, headline first: the moving average, chosen on source validation.
HEADLINE = "sma/source_validation"


def summarize(
    evaluations: Sequence[Evaluation], variant: Variant, *, include_float: bool = False
) -> dict[str, Any]:
    """What each rule selects, for the weights as trained and their moving average.

    Args:
        evaluations: of the whole run.
        variant: of the run.
        include_float: see `selection.candidates`.

    Returns:
        {"rows": {"<weights>/<rule>": {...}}}: step chosen, whether it is quantized, mean source
        validation accuracy, and for the target domains the accuracies on parts "in" and "out" and
        on all images. At the last step also "source_train_accuracy".
    """
    rows = {}
    for weights in (SMA, RAW):
        choices = candidates(
            evaluations, weights, quantized=variant.quantized, include_float=include_float
        )
        for rule in RULES:
            if rule == "oracle" and not choices[-1].target:
                continue
            rows[f"{weights}/{rule}"] = _row(select(choices, rule))
    return {"rows": rows}


def _row(chosen: Evaluation) -> dict[str, Any]:
    row: dict[str, Any] = {
        "step": chosen.step,
        "quantized": chosen.quantized,
        "source_accuracy": chosen.source_accuracy,
    }
    training = [parts[IN].accuracy for parts in chosen.source.values() if IN in parts]
    if training:
        row["source_train_accuracy"] = float(np.mean(training))
    if chosen.target:
        row["target_in"] = chosen.target_accuracy(IN)
        row["target_out"] = chosen.target_accuracy(OUT)
        row["target_all"] = float(np.mean([_all(parts) for parts in chosen.target.values()]))
    return row


def _all(parts: Any) -> float:
    scores = list(parts.values())
    return sum(s.accuracy * s.images for s in scores) / sum(s.images for s in scores)


__all__ = ["HEADLINE", "RAW", "SMA", "summarize"]
