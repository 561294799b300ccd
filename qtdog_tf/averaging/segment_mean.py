"""The mean of the weights over the steps since the last evaluation: what SWAD is made of."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from qtdog_tf.averaging.shadows import make_counter, make_shadow, take_in
from qtdog_tf.quantization.quantizer import is_step_size


class SegmentMean:
    """The uniform mean of the weights after every step since `restart` (method, section 5.1).

    Updated inside the train function, and restarted between two calls of it. Without a step since,
    it is the weights that `restart` found. Step sizes do not exist before quantization starts:
    if that is within a segment, their mean begins with their own first update.
    """

    def __init__(self) -> None:
        self._sources: list[Any] = []
        self._shadows: list[Any] = []
        self._steps: Any = None

    def build(self, variables: Sequence[Any]) -> None:
        """Creates the mean of each of `variables` (Keras variables) and a count of steps."""
        self._sources = list(variables)
        self._shadows = [make_shadow(variable) for variable in variables]
        self._steps = make_counter("segment_steps")

    @property
    def built(self) -> bool:
        """Whether `build` has been called."""
        return self._steps is not None

    @property
    def variables(self) -> list[Any]:
        """The count of steps and the means: all that a segment remembers."""
        return [self._steps, *self._shadows] if self.built else []

    def update(self, quantized_steps: Any) -> None:
        """Takes the present weights into the mean.

        Args:
            quantized_steps: updates of the step sizes so far; integer tensor.
        """
        steps = tf.convert_to_tensor(self._steps.value)
        quantized = tf.minimum(steps, tf.cast(quantized_steps, steps.dtype) - 1)
        for variable, shadow in zip(self._sources, self._shadows, strict=True):
            take_in(variable, shadow, quantized if is_step_size(variable) else steps)
        self._steps.assign_add(1)

    def restart(self) -> None:
        """Begins a new segment at the present weights."""
        for variable, shadow in zip(self._sources, self._shadows, strict=True):
            shadow.assign(variable.value)
        if self.built:
            self._steps.assign(0)

    def values(self) -> list[np.ndarray]:
        """A copy of the mean of each variable."""
        return [np.array(shadow.numpy()) for shadow in self._shadows]
