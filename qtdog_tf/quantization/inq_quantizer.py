"""INQ on TFMOT's `Quantizer` interface; the arithmetic is in `inq.py`."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from qtdog_tf.quantization import inq
from qtdog_tf.quantization.quantizer import STEP_SIZE, WeightQuantizer


@keras.saving.register_keras_serializable("qtdog_tf")
class INQWeightQuantizer(WeightQuantizer):
    """Fixes weights to powers of two, more and more of them.

    A layer computes with the levels of its fixed weights and the values of its free ones. Fixed
    weights have no gradient, and a constraint on the variable takes back what an optimizer's
    momentum makes of them all the same. The largest level stands where LSQ has its step sizes.

    Which weights are fixed belongs to one training, not to a saved model: in one that is loaded
    all are.

    Args:
        bits: bit width of the levels, 2 to 8. Default 5, the paper's.
        channel_axes: shape of the variable that holds the level, see `WeightQuantizer`; it is one
            level a layer in any case.
        levels: rule of `inq.exponents`: "paper" or "code".

    Raises:
        ValueError: for a value outside those named.

    Attributes:
        fixed: in training, a variable of the weight's shape: the level of each fixed weight, NaN
            for a free one. None before and after.
    """

    def __init__(
        self, bits: int = 5, channel_axes: Sequence[int] = (-1,), levels: str = "paper"
    ) -> None:
        super().__init__(bits, channel_axes)
        self.count = inq.exponents(bits, levels)
        self.levels = levels
        self.fixed: Any = None

    def attach(self, weight: Any) -> None:
        """Begins a training in which no weight is fixed yet."""
        with tf.init_scope():
            free = np.full(tuple(weight.shape), np.nan, np.float32)
            self.fixed = keras.Variable(free, dtype="float32", trainable=False, name="fixed")
        _set_constraint(weight, self._hold)

    def detach(self, weight: Any) -> None:
        """Ends it: the variable may take any value again."""
        self.fixed = None
        _set_constraint(weight, None)

    @property
    def variables(self) -> list[Any]:
        """What belongs into a checkpoint beside the model's variables."""
        return [] if self.fixed is None else [self.fixed]

    @property
    def holds_codes(self) -> bool:
        """Whether every weight is fixed."""
        return self.fixed is None or bool(np.isfinite(self.fixed.numpy()).all())

    def scales(self, weights: dict[str, Any]) -> int:
        """One, the largest level of the layer."""
        return 1

    def __call__(
        self, inputs: Any, training: Any, weights: dict[str, Any], **kwargs: Any
    ) -> tf.Tensor:
        """The levels of fixed weights and the values of free ones; float32.

        Args:
            inputs: the weight, a float variable or tensor. Where it is fixed and its value no
                level, in an average for example, it is that value's level that counts.
            training: not used; part of TFMOT's contract.
            weights: what `build` returned.
            **kwargs: not used; part of TFMOT's contract.
        """
        weight = tf.cast(tf.convert_to_tensor(inputs), tf.float32)
        level = tf.stop_gradient(inq.to_level(weight, _top(weights), self.count))
        if self.fixed is None:
            return level
        return tf.where(self._is_fixed(), level, weight)

    def initialize(self, weight: Any, weights: dict[str, Any]) -> None:
        """Sets the largest level from the present value of `weight`, and all weights free."""
        top = inq.largest_level(tf.convert_to_tensor(weight))
        weights[STEP_SIZE].assign(tf.fill(weights[STEP_SIZE].shape, top))
        if self.fixed is not None:
            self.fixed.assign(tf.fill(self.fixed.shape, np.float32(np.nan)))

    def fix(self, weight: Any, weights: dict[str, Any], portion: float) -> None:
        """Fixes the largest free weights until a portion of the layer is fixed.

        Args:
            weight: the variable, attached.
            weights: what `build` returned.
            portion: 0 to 1, of all weights of the layer; nothing happens if as many are fixed.
        """
        fixed, value = self.fixed.numpy(), weight.numpy()
        was_fixed = np.isfinite(fixed)
        chosen = inq.choose_largest(value, was_fixed, portion)
        top = _top(weights)
        level = inq.to_level(tf.cast(value, tf.float32), top, self.count).numpy()
        self.fixed.assign(np.where(chosen & ~was_fixed, level, fixed))
        weight.assign(self._hold(weight))

    def codes(self, weight: Any, weights: dict[str, Any]) -> tf.Tensor:
        """The number of the level of each weight (int32, of its shape), see `inq.level_codes`."""
        value = tf.cast(tf.convert_to_tensor(weight), tf.float32)
        return inq.level_codes(value, _top(weights), self.count)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "bits": self.bits,
            "channel_axes": list(self.channel_axes),
            "levels": self.levels,
        }

    def _is_fixed(self) -> tf.Tensor:
        return tf.math.is_finite(tf.convert_to_tensor(self.fixed))

    def _hold(self, weight: Any) -> tf.Tensor:
        """The constraint: a fixed weight is its level."""
        value = tf.convert_to_tensor(weight)
        level = tf.cast(tf.convert_to_tensor(self.fixed), value.dtype)
        return tf.where(self._is_fixed(), level, value)


def _set_constraint(weight: Any, constraint: Callable[[Any], tf.Tensor] | None) -> None:
    """Of a Keras 3 variable, or of one of `tf_keras`, where it is set when a layer is built."""
    name = "constraint" if isinstance(weight, keras.Variable) else "_constraint"
    setattr(weight, name, constraint)


def _top(weights: dict[str, Any]) -> tf.Tensor:
    # An average of the largest levels of several models need not be a power of two.
    return inq.nearest_power(tf.convert_to_tensor(weights[STEP_SIZE]))
