"""The averages of the weights that the settings of a run ask for."""

from qtdog_tf.averaging.base import WeightAverage
from qtdog_tf.averaging.simple_moving_average import SimpleMovingAverage
from qtdog_tf.averaging.swa import StochasticWeightAverage
from qtdog_tf.averaging.swad import StochasticWeightAverageDensely
from qtdog_tf.records import SMA, SWA
from qtdog_tf.training.settings import TrainSettings


def build_averages(settings: TrainSettings) -> list[WeightAverage]:
    """One average for each name in `settings.averages`, in that order."""
    return [_average(name, settings) for name in settings.averages]


def _average(name: str, settings: TrainSettings) -> WeightAverage:
    if name == SMA:
        return SimpleMovingAverage(settings.sma_start)
    if name == SWA:
        return StochasticWeightAverage(settings.quantize_step)
    return StochasticWeightAverageDensely(
        settings.swad_converge, settings.swad_tolerance, settings.swad_ratio, settings.swad_mode
    )
