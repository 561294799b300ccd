"""Training with Keras' own `fit`: optimizers, averages, callbacks, and the trainer made of them.

Start with `QuantizationOptimizer` in a pipeline of one's own, with `trial.py` for the trainer.
"""

from qtdog_tf.training.adam import Adam
from qtdog_tf.training.averaging import SimpleMovingAverage
from qtdog_tf.training.callbacks import StartQuantization
from qtdog_tf.training.optimizer import QuantizationOptimizer

__all__ = [
    "Adam",
    "QuantizationOptimizer",
    "SimpleMovingAverage",
    "StartQuantization",
]
