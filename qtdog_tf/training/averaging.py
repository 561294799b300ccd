"""Averages of the weights over the steps of training, updated inside the train function.

A callback that copies weights each step costs 7 to 20 % of the step; as part of the optimizer's
update an average costs nothing that can be measured. Averages are therefore handed to
`QuantizationOptimizer`, which updates them after each step.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from qtdog_tf.quantization.quantizer import is_step_size


@keras.saving.register_keras_serializable("qtdog_tf")
class SimpleMovingAverage:
    """The running mean of the weights from step `start` on (SMA, as in EoA).

    With theta_i the weights after update i (counted from 1), the average is theta_i for i < start
    and the mean of theta_{start-1}, ..., theta_i from then on. Step sizes do not exist before
    quantization starts: their mean begins with their own first update. Latent weights and step
    sizes are averaged apart and quantized afterwards, so the averaged model is on a lattice too.

    Args:
        start: the update from which the mean is taken. Default 100.

    Raises:
        ValueError: if `start` is below 1.
    """

    def __init__(self, start: int = 100) -> None:
        if start < 1:
            raise ValueError(f"the moving average must start at step 1 or later, received {start}")
        self.start = start
        self.shadows: list[Any] = []
        self._sources: list[Any] = []

    def build(self, variables: Sequence[Any]) -> None:
        """Creates the average of each of `variables` (Keras variables)."""
        self._sources = list(variables)
        self.shadows = [_shadow(variable) for variable in variables]

    def update(self, steps: Any, quantized_steps: Any) -> None:
        """Takes the present weights into the average.

        Args:
            steps: updates of the weights so far, this one included; integer tensor.
            quantized_steps: updates of the step sizes so far; integer tensor.
        """
        since_start = steps - (self.start - 1)
        for variable, shadow in zip(self._sources, self.shadows, strict=True):
            averaged = since_start
            if is_step_size(variable):
                averaged = tf.minimum(averaged, quantized_steps - 1)
            weight = 1.0 / (1.0 + tf.cast(tf.maximum(averaged, 0), shadow.dtype))
            current = tf.convert_to_tensor(variable)
            # The first copy must not depend on what was there before.
            mean = shadow.value + (current - shadow.value) * weight
            shadow.assign(tf.where(averaged > 0, mean, current))

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Within this context, the model's variables hold their averages.

        Raises:
            ValueError: if the optimizer that keeps the average has not been built.
        """
        if not self._sources:
            raise ValueError("there is no average yet: its optimizer has not been built")
        latest = [variable.numpy() for variable in self._sources]
        for variable, shadow in zip(self._sources, self.shadows, strict=True):
            variable.assign(shadow.value)
        try:
            yield
        finally:
            for variable, value in zip(self._sources, latest, strict=True):
                variable.assign(value)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"start": self.start}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "SimpleMovingAverage":
        """The inverse of `get_config`."""
        return cls(**config)


def _shadow(variable: Any) -> Any:
    """A variable for the average of `variable`, which it equals until the first update."""
    # Keras builds optimizers while it traces the train function, where XLA could not have it.
    with tf.init_scope():
        return keras.Variable(
            tf.identity(tf.convert_to_tensor(variable)),
            dtype=variable.dtype,
            trainable=False,
            # Every replica computes the same value; without this a replica may not assign.
            aggregation="only_first_replica",
            name=f"{variable.name}_average",
        )
