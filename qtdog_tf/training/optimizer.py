"""The optimizer of quantization-aware training: weights to one optimizer, step sizes to another.

Step sizes start to learn at step K. In a shared Adam their first updates would be up to 6.5 times
the learning rate, since its bias correction counts from step 0 and their moments are new. Here
they have an Adam of their own, which counts from its own first update.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from qtdog_tf.averaging.base import WeightAverage
from qtdog_tf.quantization.quantizer import is_step_size
from qtdog_tf.training.adam import Adam


@keras.saving.register_keras_serializable("qtdog_tf")
class QuantizationOptimizer(keras.optimizers.Optimizer):
    """Wraps any optimizer so that step sizes get an Adam with a count of its own.

    Before quantization starts it does exactly what the wrapped optimizer does. Step sizes are
    never decayed and never fall to 0 (their variables carry the constraint).

    Args:
        optimizer: the optimizer of the weights. Default: `Adam()` as in the paper.
        step_size_lr_multiplier: learning rate of the step sizes, as a multiple of the present
            learning rate of `optimizer`. Default 1.
        step_size_epsilon: epsilon of the step sizes' Adam. Default 1e-8.
        averages: averages of the weights to keep, see `qtdog_tf.averaging`. Default none.
        name: name of the optimizer.

    Raises:
        ValueError: if `optimizer` keeps an average or accumulates gradients itself, which would
            not include the step sizes; or if it is a `LossScaleOptimizer`, which belongs around
            this one (Keras puts it there under the policy mixed_float16).

    Example:
        model.compile(QuantizationOptimizer(keras.optimizers.Adam(1e-4)), loss=...)
    """

    built: bool

    def __init__(
        self,
        optimizer: keras.optimizers.Optimizer | None = None,
        step_size_lr_multiplier: float = 1.0,
        step_size_epsilon: float = 1e-8,
        averages: Sequence[WeightAverage] = (),
        name: str = "quantization_optimizer",
    ) -> None:
        optimizer = optimizer or Adam()
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            raise ValueError(
                "hand over the optimizer that is in the LossScaleOptimizer, and put the "
                "LossScaleOptimizer around this one: else step sizes miss the scaling"
            )
        if optimizer.use_ema or optimizer.gradient_accumulation_steps:
            raise ValueError(
                "the wrapped optimizer must not use use_ema or gradient_accumulation_steps, which "
                "would leave the step sizes out"
            )
        super().__init__(learning_rate=0.0, name=name)
        self.optimizer = optimizer
        self.step_size_lr_multiplier = float(step_size_lr_multiplier)
        self.averages = tuple(averages)
        self.step_size_optimizer = Adam(
            learning_rate=lambda: self.step_size_lr_multiplier * optimizer.learning_rate,
            epsilon=step_size_epsilon,
            loss_scale_factor=optimizer.loss_scale_factor,
            name="step_size_adam",
        )

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the wrapped optimizer; assignable."""
        return self.optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self.optimizer.learning_rate = value

    def build(self, variables: Sequence[Any]) -> None:
        """Creates the slots of both optimizers and the averages.

        Args:
            variables: the model's trainable variables, step sizes included.
        """
        if self.built:
            return
        super().build(variables)
        # The inner optimizer's count would not do: several of its updates can make one step.
        with tf.init_scope():
            self._quantized_steps = keras.Variable(
                0,
                dtype="int64",
                trainable=False,
                aggregation="only_first_replica",
                name="quantized_steps",
            )
        self._track_variable(self._quantized_steps)
        self._build_inner(self.optimizer, [v for v in variables if not is_step_size(v)])
        self._build_inner(self.step_size_optimizer, [v for v in variables if is_step_size(v)])
        for average in self.averages:
            average.build(variables)
            for variable in average.variables:
                self._track_variable(variable)

    @staticmethod
    def _build_inner(optimizer: keras.optimizers.Optimizer, variables: list[Any]) -> None:
        if not optimizer.built:
            optimizer.build(variables)
            optimizer.built = True

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """Applies the gradients, then counts the step and updates the averages.

        Args:
            grads: one gradient a variable; None for a step size that is not in use.
            trainable_variables: the variables; default those that the optimizer was built with.
        """
        self.finish_step(quantized=self.update_variables(grads, trainable_variables))

    def update_variables(
        self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None
    ) -> bool:
        """Applies the gradients without counting a step, for methods that take several in one.

        Args:
            grads: as `apply` takes them.
            trainable_variables: as `apply` takes them.

        Returns:
            Whether step sizes were among what was updated.
        """
        if trainable_variables is None:
            trainable_variables = self._trainable_variables
        trainable_variables = list(trainable_variables)
        if not self.built:
            self.build(trainable_variables)
            self.built = True
        pairs = list(zip(grads, trainable_variables, strict=True))
        weights = [(g, v) for g, v in pairs if not is_step_size(v)]
        step_sizes = [(g, v) for g, v in pairs if is_step_size(v) and g is not None]
        # First the step sizes: the other optimizer's count, on which a schedule of the learning
        # rate looks, has to be the one that holds for both.
        if step_sizes:
            self.step_size_optimizer.apply(*zip(*step_sizes, strict=True))
        if weights:
            self.optimizer.apply(*zip(*weights, strict=True))
        return bool(step_sizes)

    def finish_step(self, *, quantized: bool) -> None:
        """Counts a step and takes the present weights into the averages.

        Args:
            quantized: whether step sizes learned in this step.
        """
        self._iterations.assign_add(1)
        if quantized:
            self._quantized_steps.assign_add(1)
        for average in self.averages:
            average.update(self._iterations.value, self._quantized_steps.value)

    def scale_loss(self, loss: Any) -> Any:
        """The loss times the wrapped optimizer's loss scale."""
        return self.optimizer.scale_loss(loss)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "step_size_lr_multiplier": self.step_size_lr_multiplier,
            "step_size_epsilon": self.step_size_optimizer.epsilon,
            "averages": [keras.saving.serialize_keras_object(a) for a in self.averages],
            "name": self.name,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "QuantizationOptimizer":
        """The inverse of `get_config`."""
        config = dict(config)
        restore = keras.saving.deserialize_keras_object
        config["optimizer"] = restore(config["optimizer"], custom_objects)
        config["averages"] = [restore(a, custom_objects) for a in config["averages"]]
        return cls(**config)
