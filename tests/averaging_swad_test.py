"""SWAD and its segments in a real `fit`, against the weights that a callback recorded."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from qtdog_tf.averaging import SimpleMovingAverage, StochasticWeightAverageDensely
from qtdog_tf.averaging.segment_mean import SegmentMean
from qtdog_tf.quantization.quantizer import is_step_size
from tests.averaging_runs import START, assert_close, assert_equal, fit, mean


@pytest.mark.parametrize(("every", "jit_compile"), [(4, False), (24, False), (4, True)])
def test_a_segment_is_the_mean_of_the_weights_after_every_step(every, jit_compile):
    average = StochasticWeightAverageDensely()
    losses = [3.0, 2.0, 1.0, 0.9, 0.8, 0.7]
    _, trainer = fit([average], losses, every=every, jit_compile=jit_compile)
    # Never converged: the last segment. It began at step K at the earliest.
    assert_close(average.values(), mean(trainer.history[max(24 - every, START) :]))
    arrays = average.capture().arrays
    assert len(arrays) == (4 if every == 4 else 1)
    if every == 4:
        assert_close(arrays["swad-1-segment-000011"], mean(trainer.history[8:12]))


def test_step_sizes_begin_late_in_a_segment_that_began_early():
    class Segment(SimpleMovingAverage):
        """The segment alone, which nothing restarts at step K."""

        def __init__(self):
            super().__init__()
            self.segment = SegmentMean()

        def build(self, variables):
            self.segment.build(variables)

        def update(self, steps, quantized_steps):
            self.segment.update(quantized_steps)

    average = Segment()
    _, trainer = fit([average])
    for variable, value, whole, late in zip(
        trainer.variables,
        average.segment.values(),
        mean(trainer.history),
        mean(trainer.history[START:]),
        strict=True,
    ):
        np.testing.assert_allclose(
            value, late if is_step_size(variable) else whole, rtol=1e-5, atol=1e-7
        )


def test_a_segment_without_a_step_is_the_weights_it_began_with():
    variable, segment = keras.Variable([1.0, 2.0]), SegmentMean()
    segment.restart()
    assert segment.variables == []
    segment.build([variable])
    variable.assign([3.0, 4.0])
    segment.restart()
    assert_equal(segment.values(), [[3.0, 4.0]])
    for value in (10.0, 20.0):
        variable.assign([value, value])
        segment.update(tf.constant(0))
    assert_equal(segment.values(), [[15.0, 15.0]])


MERGED = {"paper": (1, 2, 3), "code": (1, 1, 2, 3)}


@pytest.mark.parametrize("mode", ["paper", "code"])
def test_swad_averages_segments_by_the_valley(mode):
    average = StochasticWeightAverageDensely(converge=2, tolerance=3, mode=mode)
    _, trainer = fit([average], [0.1, 0.2, 0.7, 0.5, 0.6, 0.65])
    # Of the four segments from step K on the second has the least loss: there it converges. The
    # released code finds no loss above the threshold before it, and merges it twice.
    segments = [mean(trainer.history[i : i + 4]) for i in range(8, 24, 4)]
    assert_close(average.values(), mean(segments[i] for i in MERGED[mode]))


def test_swad_stays_as_it_is_when_the_valley_is_over():
    average = StochasticWeightAverageDensely(converge=1, tolerance=1)
    _, trainer = fit([average], [1.0, 1.0, 1.0, 9.0, 0.1, 0.1])
    assert_close(average.values(), mean(trainer.history[8:12]))
    assert list(average.capture().arrays) == ["swad-1-average-1merges"]
