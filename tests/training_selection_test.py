"""Selection rules on scripted evaluations, and what a summary makes of them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtdog_tf.records import Evaluation, Score
from qtdog_tf.training.evaluation import score
from qtdog_tf.training.selection import KeepSelected, candidates, select
from qtdog_tf.training.summary import summarize


def evaluation(
    step: int, source: float, target: float, target_out: float, weights: str = "raw"
) -> Evaluation:
    def parts(**accuracies: float) -> dict[str, Score]:
        return {name: Score(accuracy, 1.0, 10) for name, accuracy in accuracies.items()}

    return Evaluation(
        step=step,
        weights=weights,
        quantized=step >= 20,
        source={"a": parts(out=source - 0.1), "b": parts(out=source + 0.1)},
        target={"t": parts(**{"in": target, "out": target_out})},
    )


# The float step 10 has the best source validation, step 30 the best target.
RUN = [
    evaluation(0, 0.3, 0.2, 0.2),
    evaluation(10, 0.9, 0.4, 0.4),
    evaluation(20, 0.7, 0.5, 0.5),
    evaluation(30, 0.6, 0.8, 0.9),
    evaluation(40, 0.7, 0.6, 0.6),
]


def test_quantized_runs_never_select_a_float_step() -> None:
    assert select(candidates(RUN, "raw", from_step=20), "source_validation").step == 20
    # The released code's rule reports a float model here.
    leaky = select(candidates(RUN, "raw"), "source_validation")
    assert leaky.step == 10 and not leaky.quantized


def test_first_of_equal_steps_wins() -> None:
    tied = [evaluation(step, 0.7, 0.5, 0.5) for step in (40, 20, 30)]
    assert select(candidates(tied, "raw"), "source_validation").step == 20


def test_last_and_oracle() -> None:
    choices = candidates(reversed(RUN), "raw", 20)
    assert select(choices, "last").step == 40
    assert select(choices, "oracle").step == 30


def test_nothing_or_an_unknown_rule_is_an_error() -> None:
    with pytest.raises(ValueError, match="no evaluation"):
        select([], "last")
    with pytest.raises(ValueError, match="must be one of"):
        select(RUN, "best")


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30))
def test_source_validation_never_looks_at_the_target(values: list[tuple[float, float]]) -> None:
    run = [evaluation(i, s, t, t) for i, (s, t) in enumerate(values)]
    swapped = [evaluation(i, s, 1 - t, 1 - t) for i, (s, t) in enumerate(values)]
    for rule in ("source_validation", "last"):
        assert select(run, rule).step == select(swapped, rule).step


class FakeModel:
    def __init__(self, value: float) -> None:
        self.value = value

    def get_weights(self) -> list[np.ndarray]:
        return [np.array([self.value])]


@given(st.lists(st.sampled_from([0.2, 0.4, 0.6]), min_size=1, max_size=12), st.integers(0, 5))
def test_keeper_agrees_with_the_rule(accuracies: list[float], from_step: int) -> None:
    run = [evaluation(i, a, 0.0, 0.0) for i, a in enumerate(accuracies)]
    keeper = KeepSelected("raw", from_step)
    for record in run:
        keeper(record, FakeModel(record.step))  # type: ignore[arg-type]
    choices = candidates(run, "raw", from_step)
    if choices:
        assert keeper.values[0][0] == select(choices, "source_validation").step
    else:
        assert keeper.evaluation is None


def test_summary_shows_every_rule_for_both_kinds_of_weights() -> None:
    averaged = [evaluation(e.step, e.source_accuracy, 0.1, 0.3, "sma") for e in RUN]
    rows = summarize([*RUN, *averaged], from_step=20)["rows"]
    assert set(rows) == {
        f"{w}/{r}" for w in ("sma", "raw") for r in ("source_validation", "last", "oracle")
    }
    assert rows["raw/source_validation"] == {
        "step": 20,
        "quantized": True,
        "source_accuracy": pytest.approx(0.7),
        "target_in": 0.5,
        "target_out": 0.5,
        "target_all": 0.5,
    }
    assert rows["sma/oracle"]["target_all"] == pytest.approx(0.2)


def test_score_by_hand() -> None:
    # Probabilities of the true class: 3/4, 1/4 (the larger logit is the other class).
    logits = np.log(np.array([[3.0, 1.0], [3.0, 1.0]], np.float32))
    result = score(logits, np.array([0, 1]))
    assert result.accuracy == 0.5 and result.images == 2
    assert result.loss == pytest.approx(-(math.log(0.75) + math.log(0.25)) / 2, abs=1e-6)


def test_score_of_huge_logits_is_finite() -> None:
    result = score(np.array([[1e4, -1e4]], np.float32), np.array([1]))
    assert result.loss == pytest.approx(2e4)


def test_evaluation_survives_json() -> None:
    assert Evaluation.from_dict(RUN[2].to_dict()) == RUN[2]
