"""SWA, and averages together, in a real `fit`."""

import keras
import pytest
import tensorflow as tf

from qtdog_tf.averaging import (
    SimpleMovingAverage,
    StochasticWeightAverage,
    StochasticWeightAverageDensely,
)
from qtdog_tf.records import SMA
from tests.averaging_runs import assert_close, assert_equal, evaluation, fit, mean


def test_swa_is_the_mean_of_the_weights_at_evaluations():
    average = StochasticWeightAverage()
    _, trainer = fit([average], losses=[1.0] * 6)
    # Evaluations at 3 and 7 are before quantization.
    assert_close(average.values(), mean(trainer.history[i] for i in (11, 15, 19, 23)))


def test_swa_from_a_later_step():
    average = StochasticWeightAverage(start=15)
    _, trainer = fit([average], losses=[1.0] * 6)
    assert_close(average.values(), mean(trainer.history[i] for i in (15, 19, 23)))


def test_swa_is_ready_from_its_first_sample_on():
    average = StochasticWeightAverage(start=7)
    assert not average.ready
    average.restart(0)
    assert average.variables == [] and not average.ready
    variable = keras.Variable([1.0])
    average.build([variable])
    for step, ready in ((6, False), (7, True)):
        average.evaluated(evaluation(step, 1.0))
        assert average.ready == ready
    average.restart(8)
    assert not average.ready
    with pytest.raises(ValueError, match="no average yet: 'swa'"), average.applied():
        pass


@pytest.mark.parametrize(
    ("average", "before", "after"),
    [
        # Weights are 1, 2, 3, ... after each update. The moving average counts from the second on.
        (SimpleMovingAverage(3), (2 + 3 + 4) / 3, (4 + 5 + 6) / 3),
        (StochasticWeightAverage(), (1 + 2 + 3 + 4) / 4, (5 + 6) / 2),
        # Not converged: the last of the segments, which evaluations close after each update.
        (StochasticWeightAverageDensely(), 4, 6),
    ],
)
def test_an_average_that_begins_anew_forgets_what_was_before(average, before, after):
    average.begin_anew(0)  # not built: nothing to forget
    variable = keras.Variable([0.0])
    average.build([variable])

    def train(start, stop):
        for update in range(start, stop):
            variable.assign([update])
            average.update(tf.constant(update, tf.int64), tf.constant(0, tf.int64))
            average.evaluated(evaluation(update - 1, 1.0 / update))

    train(1, 5)
    assert float(average.values()[0][0]) == pytest.approx(before)
    average.begin_anew(4)
    train(5, 7)
    assert float(average.values()[0][0]) == pytest.approx(after)


def test_averages_see_every_step_of_an_execution_of_several():
    def make():
        return [
            SimpleMovingAverage(5),
            StochasticWeightAverage(),
            StochasticWeightAverageDensely(2, 3),
        ]

    losses = [0.1, 0.2, 1.0, 0.5, 0.6, 0.7]
    (_, plain), (_, grouped) = fit(make(), losses), fit(make(), losses, steps_per_execution=4)
    assert len(grouped.history) == 6
    for ours, theirs in zip(grouped.averages, plain.averages, strict=True):
        assert_equal(ours.variables, theirs.variables)
        assert_equal(ours.values(), theirs.values())


def test_averages_do_not_disturb_training_nor_each_other():
    losses = [0.1, 0.2, 1.0, 0.5, 0.6, 0.7]
    alone, _ = fit([])
    averages = [
        SimpleMovingAverage(5),
        StochasticWeightAverage(),
        StochasticWeightAverageDensely(),
    ]
    together, _ = fit(averages, losses)
    assert_equal(together.get_weights(), alone.get_weights())
    buffers = [v.numpy() for v in together.non_trainable_variables]
    assert len(buffers) >= 2
    kernels = [v for v in together.trainable_variables if len(v.shape) == 4]
    seen = []
    for average in averages:
        with average.applied():
            assert_equal(together.trainable_variables, average.values())
            assert_equal(together.non_trainable_variables, buffers)
            seen.append(kernels[0].numpy())
    assert_equal(together.get_weights(), alone.get_weights())
    assert len({kernel.tobytes() for kernel in seen}) == 3


def test_names_and_settings_survive_a_file(tmp_path):
    averages = [
        SimpleMovingAverage(3),
        StochasticWeightAverage(4),
        StochasticWeightAverageDensely(2, 5, 0.2, "code"),
    ]
    assert [average.name for average in averages] == [SMA, "swa", "swad"]
    model, _ = fit(averages, [1.0] * 6)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").optimizer.averages
    for ours, theirs in zip(loaded, averages, strict=True):
        assert type(ours) is type(theirs)
        assert ours.get_config() == theirs.get_config()
        assert_equal(ours.variables, theirs.variables)
    assert_equal(loaded[1].values(), averages[1].values())


def test_bad_values_are_named():
    with pytest.raises(ValueError, match="SWA must start at step 0 or later, received -1"):
        StochasticWeightAverage(-1)
    with pytest.raises(ValueError, match="received 'book'"):
        StochasticWeightAverageDensely(mode="book")
