"""The outcome of one run under every selection rule, always side by side."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from qtdog_tf.records import IN, OUT, RAW, SMA, SWA, SWAD, TEST, Evaluation
from qtdog_tf.training.selection import ORACLE, RULES, candidates, select

_ORDER = (SMA, RAW, SWA, SWAD)


def summarize(evaluations: Sequence[Evaluation], from_step: int = 0) -> dict[str, Any]:
    """What each rule selects, for the weights as trained and their averages.

    Args:
        evaluations: of the whole run.
        from_step: the first step that counts, see `selection.candidates`.

    Returns:
        {"rows": {"<weights>/<rule>": {...}}}: step chosen, whether it is quantized, mean source
        validation accuracy, and for the target domains the accuracies on parts "in" and "out" and
        on all images. With a test part of source domains "source_test", mean over them. At the last
        step also "source_train_accuracy".
    """
    rows = {}
    kinds = dict.fromkeys(e.weights for e in evaluations if e.step >= from_step)
    for weights in sorted(kinds, key=_ORDER.index):
        choices = candidates(evaluations, weights, from_step)
        for rule in RULES:
            if rule == ORACLE and not choices[-1].target:
                continue
            rows[f"{weights}/{rule}"] = summary_row(select(choices, rule))
    return {"rows": rows}


def summary_row(chosen: Evaluation) -> dict[str, Any]:
    """The values of the row of a summary that reports an evaluation, see `summarize`."""
    row: dict[str, Any] = {
        "step": chosen.step,
        "quantized": chosen.quantized,
        "source_accuracy": chosen.source_accuracy,
    }
    training = [parts[IN].accuracy for parts in chosen.source.values() if IN in parts]
    if training:
        row["source_train_accuracy"] = float(np.mean(training))
    tested = [parts[TEST].accuracy for parts in chosen.source.values() if TEST in parts]
    if tested:
        row["source_test"] = float(np.mean(tested))
    if chosen.target:
        row["target_in"] = chosen.target_accuracy(IN)
        row["target_out"] = chosen.target_accuracy(OUT)
        row["target_all"] = float(np.mean([_all(parts) for parts in chosen.target.values()]))
    return row


def _all(parts: Any) -> float:
    scores = list(parts.values())
    return sum(s.accuracy * s.images for s in scores) / sum(s.images for s in scores)
