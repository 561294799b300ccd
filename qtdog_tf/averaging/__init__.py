"""Averages of the weights of one run, behind one interface, and of the models of several runs.

Start with `WeightAverage`, which says how a trainer uses an average; hand averages to
`QuantizationOptimizer(averages=[...])`. `average_models` averages models that are trained already.
"""

from qtdog_tf.averaging.base import AverageState, WeightAverage
from qtdog_tf.averaging.loss_valley import LossValley
from qtdog_tf.averaging.segments import Segment
from qtdog_tf.averaging.simple_moving_average import SimpleMovingAverage
from qtdog_tf.averaging.swa import StochasticWeightAverage
from qtdog_tf.averaging.swad import StochasticWeightAverageDensely
from qtdog_tf.averaging.uniform import average_models, initialization_fingerprint

__all__ = [
    "AverageState",
    "LossValley",
    "Segment",
    "SimpleMovingAverage",
    "StochasticWeightAverage",
    "StochasticWeightAverageDensely",
    "WeightAverage",
    "average_models",
    "initialization_fingerprint",
]
