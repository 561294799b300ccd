"""Selection over steps and draws of hyperparameters, on hand-made records."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtdog_tf.benchmark_tables import SELECTIONS, BenchmarkRun, choose
from qtdog_tf.benchmark_tables.selection import Choice
from qtdog_tf.records import Evaluation
from tests.benchmark_runs import evaluation, run

# Of target "a": (source validation, target "in", target "out") after steps 0, 10 and 20.
DRAWS = {
    0: [(0.50, 0.10, 0.20), (0.80, 0.30, 0.70), (0.60, 0.40, 0.50)],
    1: [(0.70, 0.50, 0.60), (0.75, 0.60, 0.65), (0.78, 0.70, 0.40)],
}


def runs_of(draws: dict[int, list[tuple[float, float, float]]], trial: int = 0) -> list:
    return [
        run("a", trial, [evaluation(10 * i, s, {"a": (t, o)}) for i, (s, t, o) in enumerate(v)], h)
        for h, v in draws.items()
    ]


def only(runs: list[BenchmarkRun], rule: str, part: str = "in") -> Choice:
    (choice,) = choose(runs, rule, "raw", part).values()
    return choice


@pytest.mark.parametrize(
    ("rule", "draw", "step", "accuracy", "score"),
    [
        # 0.80 at step 10 of draw 0 is the highest source validation.
        ("source_validation", 0, 10, 0.30, 0.80),
        # At the last steps source validation is 0.60 and 0.78.
        ("last", 1, 20, 0.70, 0.78),
        # 0.70 at step 10 of draw 0 is the highest accuracy on the target's "out" part.
        ("oracle", 0, 10, 0.30, 0.70),
        # At the last steps that is 0.50 and 0.40.
        ("oracle_last", 0, 20, 0.40, 0.50),
    ],
)
def test_rules_that_a_summary_is_enough_for(
    rule: str, draw: int, step: int, accuracy: float, score: float
) -> None:
    choice = only(runs_of(DRAWS), rule)
    assert (choice.draw, choice.step, choice.draws) == (draw, step, (0, 1))
    assert choice.accuracy == pytest.approx(accuracy) and choice.score == pytest.approx(score)
    assert choice.file == "summary.json" and choice.rests_on == ()
    assert choice.run == runs_of(DRAWS)[draw].path


def test_every_trial_chooses_its_own_draw() -> None:
    other = {h: [(1 - s, t, o) for s, t, o in values] for h, values in DRAWS.items()}
    chosen = choose([*runs_of(DRAWS), *runs_of(other, trial=1)], "source_validation", "raw")
    assert {pair: (choice.draw, choice.step) for pair, choice in chosen.items()} == {
        ("a", 0): (0, 10),
        # 1 - 0.5 = 0.50 at step 0 of draw 0 is the highest of the other trial.
        ("a", 1): (0, 0),
    }
    assert choose(runs_of(DRAWS), "source_validation", "sma") == {}


def test_the_first_of_equal_draws_wins() -> None:
    same = [(0.5, 0.1, 0.3), (0.5, 0.2, 0.3)]
    for rule in SELECTIONS:
        if rule != "leave_one_domain_out":
            choice = only(list(reversed(runs_of({3: same, 1: same}))), rule)
            assert choice.draw == 1


def test_other_parts_of_the_target() -> None:
    assert only(runs_of(DRAWS), "source_validation", "out").accuracy == pytest.approx(0.70)
    # 80 images of 0.3 and 20 of 0.7.
    assert only(runs_of(DRAWS), "source_validation", "all").accuracy == pytest.approx(0.38)


def cross_validation_runs(draw: int, trial: int = 0, shift: float = 0.0) -> list[BenchmarkRun]:
    """Target "a" alone, and beside "b" and "c", at steps 0, 10 and 20."""
    alone = [(0.9, 0.10), (0.8, 0.20), (0.7, 0.30)]
    with_b = [(0.50, 0.99), (0.70, 0.0), (0.60, 0.0)]
    with_c = [(0.20, 0.99), (0.40, 0.0), (0.60, 0.0)]

    def pair(other: str, values: list[tuple[float, float]]) -> list[Evaluation]:
        return [
            evaluation(10 * i, 0.5, {"a": (a, a), other: (v + shift, 0.9)})
            for i, (v, a) in enumerate(values)
        ]

    single = [evaluation(10 * i, s, {"a": (t + shift, 0.5)}) for i, (s, t) in enumerate(alone)]
    return [
        run("a", trial, single, draw),
        run("a+b", trial, pair("b", with_b), draw),
        run("a+c", trial, pair("c", with_c), draw),
    ]


def test_leave_one_domain_out_by_hand() -> None:
    # Means over b and c: (0.5 + 0.2) / 2 = 0.35, (0.7 + 0.4) / 2 = 0.55, (0.6 + 0.6) / 2 = 0.60.
    runs = cross_validation_runs(0)
    chosen = choose(runs, "leave_one_domain_out", "raw")
    assert chosen.keys() == {("a", 0)}
    choice = chosen["a", 0]
    assert choice.step == 20 and choice.score == pytest.approx(0.60)
    assert choice.accuracy == pytest.approx(0.30) and choice.file == "results.jsonl"
    assert choice.run == runs[0].path
    assert choice.rests_on == (runs[1].path, runs[2].path)


def test_leave_one_domain_out_chooses_among_draws() -> None:
    runs = [*cross_validation_runs(0), *cross_validation_runs(1, shift=0.05)]
    choice = choose(runs, "leave_one_domain_out", "raw")["a", 0]
    assert (choice.draw, choice.step, choice.draws) == (1, 20, (0, 1))
    assert choice.score == pytest.approx(0.65) and choice.accuracy == pytest.approx(0.35)
    # A draw that lacks a run is out of the race; trials do not help one another.
    incomplete = [r for r in runs if (r.draw, r.target) != (1, "a+c")]
    incomplete += [r for r in cross_validation_runs(1, trial=1) if r.target == "a+c"]
    choice = choose(incomplete, "leave_one_domain_out", "raw")["a", 0]
    assert (choice.draw, choice.draws) == (0, (0,))
    assert choose(runs[1:3], "leave_one_domain_out", "raw") == {}


def test_leave_one_domain_out_takes_steps_that_all_runs_have_and_may_select() -> None:
    alone, with_b, with_c = cross_validation_runs(0)
    short = run("a+c", 0, with_c.evaluations[:2])
    choice = choose([alone, with_b, short], "leave_one_domain_out", "raw")["a", 0]
    assert choice.step == 10
    late = run("a+b", 0, with_b.evaluations, from_step=20)
    assert choose([alone, late, short], "leave_one_domain_out", "raw") == {}
    # Without the logs there is nothing to choose by.
    bare = run("a+b", 0, with_b.evaluations)
    object.__setattr__(bare, "evaluations", ())
    assert choose([alone, bare, with_c], "leave_one_domain_out", "raw") == {}


def test_an_ensemble_is_reported_but_never_chosen() -> None:
    row = {"target_in": 0.7, "target_all": 0.8}
    rows = {"sma/source_validation": row}
    ensemble = run("a", 0, [evaluation(0, 0.5, {"a": (0.1, 0.1)})], members=3)
    object.__setattr__(ensemble, "rows", rows)
    choice = choose([ensemble], "source_validation", "sma", "all")["a", 0]
    assert (choice.accuracy, choice.step, choice.score) == (0.8, None, None)
    other = run("a", 0, [evaluation(0, 0.5, {"a": (0.1, 0.1)})], draw=1, members=3)
    object.__setattr__(other, "rows", rows)
    assert choose([ensemble, other], "source_validation", "sma") == {}
    assert choose([ensemble], "oracle", "sma") == {}


ACCURACY = st.floats(0, 1, width=32)
SCORES = st.lists(st.tuples(ACCURACY, ACCURACY, ACCURACY), min_size=1, max_size=4)


@settings(max_examples=30, derandomize=True, deadline=None)
@given(st.lists(SCORES, min_size=1, max_size=3))
def test_choices_agree_with_numpy_and_never_look_at_the_target(found: list) -> None:
    draws = dict(enumerate(found))
    choice = only(runs_of(draws), "source_validation")
    every = [(s, -h, -i) for h, values in draws.items() for i, (s, _, _) in enumerate(values)]
    best = max(every)
    assert (choice.draw, choice.step) == (-best[1], -10 * best[2])
    swapped = {h: [(s, 1 - t, 1 - o) for s, t, o in values] for h, values in draws.items()}
    for rule in ("source_validation", "last"):
        one, other = only(runs_of(draws), rule), only(runs_of(swapped), rule)
        assert (one.draw, one.step) == (other.draw, other.step)
    last = [values[-1][2] for values in draws.values()]
    assert only(runs_of(draws), "oracle_last").draw == int(np.argmax(last))
