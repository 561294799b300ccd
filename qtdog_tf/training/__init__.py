"""Training with Keras' own `fit`: optimizers, averages, callbacks, and the trainer made of them.

In a pipeline of one's own start with `QuantizationOptimizer` and `StartQuantization`; the other
callbacks can be taken one by one. The trainer behind `tools/train.py` is in `trial.py`.
"""

from qtdog_tf.averaging import SimpleMovingAverage
from qtdog_tf.training.adam import Adam
from qtdog_tf.training.batch_statistics import BatchStatistics
from qtdog_tf.training.callbacks import LossLog, Progress, StartQuantization
from qtdog_tf.training.evaluation import DomainEvaluation, Part
from qtdog_tf.training.optimizer import QuantizationOptimizer
from qtdog_tf.training.selection import KeepSelected
from qtdog_tf.training.tensorboard import TensorBoardLog

__all__ = [
    "Adam",
    "BatchStatistics",
    "DomainEvaluation",
    "KeepSelected",
    "LossLog",
    "Part",
    "Progress",
    "QuantizationOptimizer",
    "SimpleMovingAverage",
    "StartQuantization",
    "TensorBoardLog",
]
