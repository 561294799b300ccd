"""Choosing the step whose weights count (method, section 1.4).

Three rules, applied to the evaluations of one run and one kind of weights:

    source_validation   highest accuracy on the source domains' validation parts (headline)
    last                the last step
    oracle              highest accuracy on the target's "out" part; looks at the target, and is
                        only ever reported under this name

The first of equal steps wins. A run that changes its ways at step K is selected among its own
steps, from K on; the released code lets the float steps before compete, and so may report a float
model as a quantized one (`from_step=0` reproduces that).
"""

from collections.abc import Iterable, Sequence

import keras
import numpy as np

from qtdog_tf.records import OUT, Evaluation

SOURCE_VALIDATION, LAST, ORACLE = "source_validation", "last", "oracle"
RULES = (SOURCE_VALIDATION, LAST, ORACLE)


def candidates(
    evaluations: Iterable[Evaluation], weights: str, from_step: int = 0
) -> list[Evaluation]:
    """The evaluations that a rule may choose from, by step.

    Args:
        evaluations: all evaluations of a run.
        weights: kind of weights, see `Evaluation`.
        from_step: the first step that counts: step K of a run that quantizes. Default 0.
    """
    mine = [e for e in evaluations if e.weights == weights and e.step >= from_step]
    return sorted(mine, key=lambda e: e.step)


def select(choices: Sequence[Evaluation], rule: str) -> Evaluation:
    """The evaluation that `rule` chooses.

    Args:
        choices: what `candidates` returned.
        rule: one of `RULES`.

    Raises:
        ValueError: if there is nothing to choose from, or for an unknown rule.
    """
    if not choices:
        raise ValueError("no evaluation to select from")
    if rule == LAST:
        return choices[-1]
    if rule == SOURCE_VALIDATION:
        return max(choices, key=lambda e: e.source_accuracy)
    if rule == ORACLE:
        return max(choices, key=lambda e: e.target_accuracy(OUT))
    raise ValueError(f"selection rule must be one of {RULES}, received {rule!r}")


class KeepSelected:
    """Listener of `DomainEvaluation` that keeps the weights that source validation selects.

    Args:
        weights: the kind of weights to watch, see `Evaluation`.
        from_step: the first step that counts, see `candidates`. Default 0.
    """

    def __init__(self, weights: str, from_step: int = 0) -> None:
        self.weights = weights
        self.from_step = from_step
        self.evaluation: Evaluation | None = None
        self.values: list[np.ndarray] = []

    def __call__(self, evaluation: Evaluation, model: keras.Model) -> None:
        """Takes the model's weights if this evaluation is the best so far."""
        if not candidates([evaluation], self.weights, self.from_step):
            return
        # Strictly greater: the first of equal steps wins, as in `select`.
        if self.evaluation and evaluation.source_accuracy <= self.evaluation.source_accuracy:
            return
        self.evaluation = evaluation
        self.values = model.get_weights()
