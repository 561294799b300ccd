"""Averages that are interrupted anywhere go on bit for bit, and never give a name twice."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from qtdog_tf.averaging import (
    AverageState,
    SimpleMovingAverage,
    StochasticWeightAverage,
    StochasticWeightAverageDensely,
)
from qtdog_tf.quantization.quantizer import at_least_minimum
from qtdog_tf.records import Evaluation, Score

FACTORIES = {
    "sma": lambda: SimpleMovingAverage(3),
    "swa": lambda: StochasticWeightAverage(2),
    "swad": lambda: StochasticWeightAverageDensely(2, 3),
    "swad_code": lambda: StochasticWeightAverageDensely(2, 3, mode="code"),
    "swad_wide": lambda: StochasticWeightAverageDensely(3, 1),
}
START, STEPS = 10, 34
# Before step K it converges already; after it there is a valley that ends, and losses after that.
LOSSES = [0.5, 0.6, 0.7, 0.6, 0.9, 0.7, 0.5, 0.55, 0.6, 0.58, 0.62, 2.0, 2.0, 2.0, 2.0, 0.1, 0.1]


def script():
    """What happens in a run, in order: ("step" | "restart" | "evaluated", step)."""
    for step in range(STEPS):
        if step == START:
            yield "restart", step
        yield "step", step
        if step % 2 == 1:
            yield "evaluated", step


EVENTS = list(script())


class Run:
    """An average of a kernel and a step size whose values follow from the step."""

    def __init__(self, factory):
        self.kernel = keras.Variable(np.zeros((3, 2), "float32"))
        self.step_size = keras.Variable(np.ones(2, "float32"))
        self.step_size.constraint = at_least_minimum
        self.average = factory()
        self.average.build([self.kernel, self.step_size])

    def play(self, kind, step):
        if kind == "restart":
            self.average.restart(step)
        elif kind == "evaluated":
            score = Score(0.5, LOSSES[step // 2], 10)
            self.average.evaluated(Evaluation(step, "raw", False, {"a": {"out": score}}, {}))
        else:
            rng = np.random.default_rng(step)
            self.kernel.assign(rng.normal(size=(3, 2)))
            if step >= START:
                self.step_size.assign(rng.uniform(0.1, 1, size=2))
            quantized = max(step + 1 - START, 0)
            self.average.update(tf.constant(step + 1), tf.constant(quantized))

    @property
    def variables(self):
        return [self.kernel, self.step_size, *self.average.variables]

    def save(self):
        state = self.average.capture()
        return json.dumps(state.plain), state.arrays, [v.numpy() for v in self.variables]

    def load(self, saved):
        plain, arrays, values = saved
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)
        self.average.restore(AverageState(json.loads(plain), arrays))


def assert_same(ours, theirs):
    (plain, arrays, values), (other_plain, other_arrays, other_values) = ours.save(), theirs.save()
    assert plain == other_plain and list(arrays) == list(other_arrays)
    pairs = zip([*arrays.values(), values], [*other_arrays.values(), other_values], strict=True)
    for our, their in pairs:
        for one, other in zip(our, their, strict=True):
            np.testing.assert_array_equal(one, other)
    assert ours.average.ready == theirs.average.ready
    if ours.average.ready:
        for our, their in zip(ours.average.values(), theirs.average.values(), strict=True):
            np.testing.assert_array_equal(our, their)


@pytest.mark.parametrize("kind", FACTORIES)
def test_interrupted_anywhere_it_goes_on_alike(kind):
    whole = Run(FACTORIES[kind])
    saved = [whole.save()]
    for event in EVENTS:
        whole.play(*event)
        saved.append(whole.save())
    used = Run(FACTORIES[kind])
    for event in EVENTS[:20]:
        used.play(*event)
    for point, state in enumerate(saved):
        # A model may be handed on with what it averaged before.
        for resumed in (Run(FACTORIES[kind]), used):
            resumed.load(state)
            for event in EVENTS[point:]:
                resumed.play(*event)
            assert_same(resumed, whole)


@pytest.mark.parametrize("kind", FACTORIES)
def test_a_name_stands_for_one_content_only(kind):
    run = Run(FACTORIES[kind])
    seen = {}
    events = [*EVENTS, ("restart", 0), *EVENTS]  # Even where all steps come again.
    for event in events:
        run.play(*event)
        state = run.average.capture()
        for name, values in state.arrays.items():
            before = seen.setdefault(name, [np.copy(v) for v in values])
            for ours, theirs in zip(values, before, strict=True):
                np.testing.assert_array_equal(ours, theirs)
    assert bool(seen) == kind.startswith("swad")


def test_swad_needs_no_more_than_its_windows_and_one_average():
    run = Run(FACTORIES["swad"])
    sizes = []
    for event in EVENTS:
        run.play(*event)
        sizes.append(len(run.average.capture().arrays))
    assert max(sizes) == 4
    assert sizes[-1] == 1, "the valley is over"
    assert json.loads(run.save()[0])["valley"]["dead"]


def test_evaluating_an_average_in_the_middle_changes_nothing():
    for kind, factory in FACTORIES.items():
        plain, looked_at = Run(factory), Run(factory)
        for event in EVENTS:
            plain.play(*event)
            looked_at.play(*event)
            if looked_at.average.ready:
                before = [v.numpy() for v in looked_at.variables]
                with looked_at.average.applied():
                    shown = [looked_at.kernel.numpy(), looked_at.step_size.numpy()]
                for ours, theirs in zip(shown, looked_at.average.values(), strict=True):
                    np.testing.assert_array_equal(ours, theirs, err_msg=kind)
                for ours, theirs in zip(looked_at.variables, before, strict=True):
                    np.testing.assert_array_equal(ours, theirs, err_msg=kind)
        assert_same(looked_at, plain)


def test_the_state_of_another_average_is_refused():
    run = Run(FACTORIES["swad"])
    for kind in ("sma", "swa"):
        with pytest.raises(ValueError, match=f"'{kind}' keeps nothing outside its variables"):
            Run(FACTORIES[kind]).average.restore(run.average.capture())


def test_a_step_is_evaluated_once():
    run = Run(FACTORIES["swad"])
    run.play("evaluated", 1)
    with pytest.raises(ValueError, match="must end after step 1, received 1"):
        run.play("evaluated", 1)
