"""The running mean of the weights over the steps of training, updated inside the train function.

A callback that copies weights each step costs 7 to 20 % of the step; as part of the optimizer's
update an average costs nothing that can be measured.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import keras
import tensorflow as tf

from qtdog_tf.averaging.base import WeightAverage
from qtdog_tf.averaging.shadows import make_counter, make_shadow, take_in
from qtdog_tf.quantization.quantizer import is_step_size


@keras.saving.register_keras_serializable("qtdog_tf")
class SimpleMovingAverage(WeightAverage):
    """The running mean of the weights from step `start` on (SMA, as in EoA; method, section 4).

    With theta_i the weights after update i (counted from 1), the average is theta_i for i < start
    and the mean of theta_{start-1}, ..., theta_i from then on. Step sizes do not exist before
    quantization starts: their mean begins with their own first update. The mean of the weights
    goes on through the start of quantization.

    Args:
        start: the update from which the mean is taken. Default 100.

    Raises:
        ValueError: if `start` is below 1.
    """

    name: ClassVar[str] = "sma"

    def __init__(self, start: int = 100) -> None:
        if start < 1:
            raise ValueError(f"the moving average must start at step 1 or later, received {start}")
        super().__init__()
        self.start = start
        self.shadows: list[Any] = []
        self._begun: Any = None

    def build(self, variables: Sequence[Any]) -> None:
        """Creates the average of each of `variables` (Keras variables)."""
        super().build(variables)
        self.shadows = [make_shadow(variable) for variable in variables]
        self._begun = make_counter("sma_begun")

    @property
    def variables(self) -> list[Any]:
        """The averages, and the update after which they began anew (0: never)."""
        return [*self.shadows, self._begun] if self.shadows else []

    def update(self, steps: Any, quantized_steps: Any) -> None:
        """Takes the present weights into the average; see `WeightAverage`."""
        steps = tf.convert_to_tensor(steps)
        begun = tf.cast(self._begun.value, steps.dtype)
        since_start = steps - tf.maximum(begun, self.start - 1)
        for variable, shadow in zip(self._sources, self.shadows, strict=True):
            before = since_start
            if is_step_size(variable):
                before = tf.minimum(before, quantized_steps - 1)
            take_in(variable, shadow, before)

    def begin_anew(self, step: int) -> None:
        """From now on it is the mean of the present weights and those that follow."""
        if self.shadows:
            self._begun.assign(step)
        for variable, shadow in zip(self._sources, self.shadows, strict=True):
            shadow.assign(variable)

    @property
    def ready(self) -> bool:
        """Whether it is built: before the first update the average is the model as it is."""
        return bool(self.shadows)

    def values(self) -> list[Any]:
        """The average of each variable."""
        return [shadow.value for shadow in self.shadows]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"start": self.start}
