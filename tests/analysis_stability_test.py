"""Stability by hand, against the summary of a run, and from the folder of a run."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtdog_tf.analysis.stability import run_stability, stability
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation.run_folder import Run
from qtdog_tf.files import write_json
from qtdog_tf.records import Evaluation, Score
from qtdog_tf.runs import ResultsLog
from qtdog_tf.training.summary import summarize


def evaluation(
    step: int, source: float, targets: list[tuple[float, float]], weights: str = "raw"
) -> Evaluation:
    """One of one source domain, and of targets given by accuracies on "in" and "out"."""
    return Evaluation(
        step,
        weights,
        step >= 20,
        {"flat": {"out": Score(source, 1.0, 10)}},
        {
            f"target{i}": {"in": Score(one, 1.0, 40), "out": Score(other, 1.0, 10)}
            for i, (one, other) in enumerate(targets)
        },
    )


# Two targets; means on "in" are 0.5, 0.7, 0.4, 0.6. Source validation is best at step 10, then 30.
CURVE = [
    evaluation(0, 0.2, [(0.4, 0.1), (0.6, 0.3)]),
    evaluation(10, 0.9, [(0.6, 0.2), (0.8, 0.4)]),
    evaluation(20, 0.7, [(0.3, 0.3), (0.5, 0.5)]),
    evaluation(30, 0.8, [(0.5, 0.4), (0.7, 0.6)]),
]


def test_by_hand() -> None:
    # Out of order, and with another kind of weights between them that exists from step 20 on.
    average = [evaluation(20, 0.6, [(0.8, 0.5)], "swa"), evaluation(30, 0.6, [(0.9, 0.5)], "swa")]
    found = stability([*CURVE[::-1], *average], start=20, from_step=20)
    assert found["start"] == 20 and list(found["weights"]) == ["raw", "swa"]
    raw = found["weights"]["raw"]
    assert raw["steps"] == [0, 10, 20, 30]
    assert raw["source"] == [0.2, 0.9, 0.7, 0.8]
    assert raw["target_in"] == pytest.approx([0.5, 0.7, 0.4, 0.6])
    assert raw["target_out"] == pytest.approx([0.2, 0.3, 0.4, 0.5])
    # 0.4 and 0.6 lie 0.1 from their mean. The best, 0.6, is the one selected.
    assert raw["std_after_start"] == pytest.approx(0.1)
    assert raw["selected_step"] == 30 and raw["best_minus_selected"] == 0.0
    # Of equally good ones the first is selected, and a better one comes after it.
    swa = found["weights"]["swa"]
    assert swa["steps"] == [20, 30] and swa["selected_step"] == 20
    assert swa["best_minus_selected"] == pytest.approx(0.1)
    assert swa["std_after_start"] == pytest.approx(0.05)


def test_a_run_that_does_not_quantize_may_select_any_step() -> None:
    raw = stability(CURVE, start=10)["weights"]["raw"]
    assert raw["selected_step"] == 10 and raw["best_minus_selected"] == 0.0
    assert raw["std_after_start"] == pytest.approx(np.std([0.7, 0.4, 0.6]))


def test_without_a_target() -> None:
    found = stability([evaluation(0, 0.5, []), evaluation(9, 0.6, [])], start=0)
    assert found["weights"]["raw"] == {
        "steps": [0, 9],
        "source": [0.5, 0.6],
        "target_in": [],
        "target_out": [],
        "std_after_start": None,
        "best_minus_selected": None,
        "selected_step": 9,
    }
    json.dumps(found, allow_nan=False)


def test_weights_of_which_no_evaluation_counts() -> None:
    raw = stability(CURVE, start=40, from_step=40)["weights"]["raw"]
    scalars = [raw[n] for n in ("std_after_start", "best_minus_selected", "selected_step")]
    assert scalars == [None] * 3 and len(raw["target_in"]) == 4


@settings(max_examples=50)
@given(
    values=st.lists(st.tuples(*[st.sampled_from([0.1, 0.25, 0.5, 0.8])] * 3), min_size=1),
    from_step=st.integers(0, 3),
)
def test_agrees_with_the_summary_of_the_run(
    values: list[tuple[float, float, float]], from_step: int
) -> None:
    evaluations = [evaluation(i, s, [(one, two)]) for i, (s, one, two) in enumerate(values)]
    found = stability(evaluations, start=from_step, from_step=from_step)["weights"]["raw"]
    late = [one for _, one, _ in values[from_step:]]
    if not late:
        assert found["selected_step"] is None
        return
    row = summarize(evaluations, from_step)["rows"]["raw/source_validation"]
    assert found["selected_step"] == row["step"]
    assert found["best_minus_selected"] == max(late) - row["target_in"] >= 0
    mean = sum(late) / len(late)
    variance = sum((value - mean) ** 2 for value in late) / len(late)
    assert found["std_after_start"] == pytest.approx(variance**0.5, abs=1e-12)


def write_run(output: Path, variant: str = "qtdog7", **identity: object) -> Run:
    """A run's folder with its log, in the folder of all runs with their settings."""
    path = output / "line-trial0" / variant
    ResultsLog(path / "results.jsonl").append(CURVE)
    write_json(output / "settings.json", {"identity": {"quantize_step": 20, **identity}})
    write_json(path / "summary.json", {})
    bits = 7 if variant.startswith("qtdog") else 32
    names = ("flat",), ("target0", "target1")
    facts = ("emoji_styles", 0.2, "", "tiny", 16, ("face", "hand"), *names, 0, "listing", "split")
    return Run(path, variant, bits, *facts)


@pytest.mark.parametrize(
    ("variant", "leaky", "selected"),
    [
        ("qtdog7", False, 30),
        ("qtdog7", True, 10),
        ("erm", False, 10),
        ("erm_m1", False, 10),
        ("frozen_float", False, 30),
    ],
)
def test_of_a_run(tmp_path: Path, variant: str, leaky: bool, selected: int) -> None:
    found = run_stability(write_run(tmp_path, variant, select_from_float=leaky))
    assert found == stability(CURVE, start=20, from_step=0 if selected == 10 else 20)
    assert found["weights"]["raw"]["selected_step"] == selected


def test_the_start_of_selection_is_the_one_that_training_had(tmp_path: Path) -> None:
    """INQ is selected from its last portion on, which step K does not tell."""
    run = write_run(tmp_path, "inq5")
    assert run_stability(run)["weights"]["raw"]["selected_step"] == 30
    for first, selected in ((5, 10), (21, 30), (31, None)):
        write_json(run.path / "summary.json", {"selected_from": first})
        assert run_stability(run)["weights"]["raw"]["selected_step"] == selected


def test_what_cannot_be_done_is_one_sentence(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    ensemble = dataclasses.replace(run, members=(run, dataclasses.replace(run, path=Path("b"))))
    with pytest.raises(UserError, match="is an ensemble, which was never trained.*qtdog7, b"):
        run_stability(ensemble)
    for damaged in ([], {}, {"identity": 1}, {"identity": {"quantize_step": "20"}}):
        write_json(tmp_path / "settings.json", damaged)
        with pytest.raises(UserError, match="settings.json is damaged .it gives no quantize_step"):
            run_stability(run)
    (tmp_path / "settings.json").unlink()
    with pytest.raises(UserError, match="which says at which step quantization starts"):
        run_stability(run)
    (run.path / "results.jsonl").unlink()
    with pytest.raises(UserError, match="results.jsonl is gone or empty"):
        run_stability(run)
