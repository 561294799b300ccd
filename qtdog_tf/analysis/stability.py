"""How steady the accuracy on unseen domains is over training (method, section 7.5; figure 4).

Source validation chooses the model, blind to the target. If the target's accuracy jumps from one
evaluation to the next while source validation stays, that choice is a matter of luck. Two scalars
say it in numbers, for each kind of weights, with a_t the mean over targets of the accuracy on part
"in" at evaluation t:

    std_after_start       standard deviation of a_t over t >= K (the population's, not a sample's)
    best_minus_selected   max_t a_t - a_selected, over the evaluations that may be selected

Start from `run_stability`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qtdog_tf.errors import UserError
from qtdog_tf.evaluation.run_folder import Run
from qtdog_tf.evaluation.run_values import read_values
from qtdog_tf.files import read_json
from qtdog_tf.records import IN, OUT, Evaluation
from qtdog_tf.runs import ResultsLog
from qtdog_tf.training.finish import SUMMARY
from qtdog_tf.training.selection import SOURCE_VALIDATION, candidates, select
from qtdog_tf.training.variants import split_member


def run_stability(run: Run) -> dict[str, Any]:
    """The stability of a finished run, counted from the step K of its settings.

    Args:
        run: a single run, in the folder that tools/train.py made. Its log begins with that of the
            float phase, so that a curve has all steps.

    Returns:
        See `stability`.

    Raises:
        UserError: if it is an ensemble, has no log, or the settings are not in the folder of all
            runs.
    """
    if run.members:
        raise UserError(
            f"{run.path} is an ensemble, which was never trained: ask for the stability of its "
            f"members, {', '.join(str(member.path) for member in run.members)}"
        )
    log = ResultsLog(run.path / "results.jsonl")
    evaluations = log.read()
    if not evaluations:
        raise UserError(f"{log.path} is gone or empty: the stability of a run is read from it")
    start, from_float = _quantize_step(run)
    summary = read_values(run.path / SUMMARY)
    from_step = selectable_from(summary, run.variant, start, from_float)
    return stability(evaluations, start=start, from_step=from_step)


def selectable_from(summary: Mapping[str, Any], variant: str, start: int, from_float: bool) -> int:
    """The first step of a run that source validation could select.

    Args:
        summary: of the run; one that an older version wrote does not say it.
        variant: of the run.
        start: step K.
        from_float: whether float steps may be selected for a quantized model.
    """
    recorded = summary.get("selected_from")
    if type(recorded) is int:
        return recorded
    return 0 if from_float or split_member(variant)[0] == "erm" else start


def stability(
    evaluations: Sequence[Evaluation], *, start: int, from_step: int = 0
) -> dict[str, Any]:
    """Curves of accuracy over training, and how much the target's varies.

    Args:
        evaluations: of one run.
        start: step K. Of a run that does not quantize the same, so that runs can be compared.
        from_step: the first step that may be selected, see `candidates`. Default 0.

    Returns:
        {"start": K, "weights": {kind: {...}}}, with lists over evaluations by step: "steps",
        "source" (validation accuracy, mean over domains), "target_in" and "target_out" (mean over
        targets), and the scalars "std_after_start", "best_minus_selected" and "selected_step".
        Without a target the lists of the target are empty and its scalars None; so is a scalar
        for which no evaluation counts.
    """
    kinds = dict.fromkeys(e.weights for e in evaluations)
    curves = {kind: _curve(evaluations, kind, start, from_step) for kind in kinds}
    return {"start": start, "weights": curves}


def _curve(
    evaluations: Sequence[Evaluation], kind: str, start: int, from_step: int
) -> dict[str, Any]:
    mine = candidates(evaluations, kind)
    has_target = all(e.target for e in mine)
    choices = candidates(mine, kind, from_step)
    selected = select(choices, SOURCE_VALIDATION) if choices else None
    late = [e.target_accuracy(IN) for e in mine if e.step >= start]
    gap = None
    if selected and has_target:
        gap = max(e.target_accuracy(IN) for e in choices) - selected.target_accuracy(IN)
    return {
        "steps": [e.step for e in mine],
        "source": [e.source_accuracy for e in mine],
        "target_in": [e.target_accuracy(IN) for e in mine] if has_target else [],
        "target_out": [e.target_accuracy(OUT) for e in mine] if has_target else [],
        "std_after_start": float(np.std(late)) if late and has_target else None,
        "best_minus_selected": gap,
        "selected_step": selected.step if selected else None,
    }


def _quantize_step(run: Run) -> tuple[int, bool]:
    """Step K, and whether the steps before it may be selected, from the settings of all runs."""
    path = run.path.resolve().parent.parent / "settings.json"
    if not path.is_file():
        raise UserError(
            f"there is no {path}, which says at which step quantization starts: leave the run in "
            "the folder that tools.train made"
        )
    settings = read_json(path)
    identity = settings.get("identity") if isinstance(settings, dict) else None
    identity = identity if isinstance(identity, dict) else {}
    start, from_float = identity.get("quantize_step"), identity.get("select_from_float", False)
    if not isinstance(start, int) or not isinstance(from_float, bool):
        raise UserError(f"{path} is damaged (it gives no quantize_step): restore it")
    return start, from_float
