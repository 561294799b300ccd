"""Forgetting the optimizer's moments in the middle of training, and getting at the optimizer."""

from typing import Any

import keras
import tensorflow as tf

from qtdog_tf.errors import UserError


def unscaled(optimizer: keras.optimizers.Optimizer) -> Any:
    """The optimizer in Keras' loss scaling, or the optimizer itself."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer.inner_optimizer
    return optimizer


def loss_scale(optimizer: keras.optimizers.Optimizer) -> Any:
    """The factor that `scale_loss` puts on the loss, and so on the gradients."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer.scale_loss(tf.constant(1.0))
    return 1.0


def refuse_loss_scaling(optimizer: keras.optimizers.Optimizer, name: str) -> None:
    """Raises UserError under loss scaling, for a method that updates weights several times a step.

    Args:
        optimizer: of the model.
        name: of the method.
    """
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        raise UserError(
            f"algorithm {name} updates weights several times a step, which the loss scaling of "
            "float16 does not allow: use mixed_precision bfloat16 or none"
        )


def reset_slots(optimizer: keras.optimizers.Optimizer, when: tf.Tensor) -> None:
    """Sets moments and counts of both inner optimizers to 0; the count of steps goes on.

    DomainBed makes a new Adam when the weight of a penalty jumps, since moments of the old loss
    would make the first steps too large. A schedule of the learning rate, which looks at the inner
    count, starts anew too, as it would there.

    Args:
        optimizer: a `QuantizationOptimizer`, with or without loss scaling around it.
        when: bool scalar; nothing happens if it is false.
    """
    outer = unscaled(optimizer)
    slots = [
        variable
        for inner in (outer.optimizer, outer.step_size_optimizer)
        for variable in inner.variables
        if variable is not getattr(inner, "_learning_rate", None)
    ]

    def reset() -> tf.Tensor:
        for variable in slots:
            variable.value.assign(tf.zeros(variable.shape, variable.dtype), read_value=False)
        return tf.constant(True)

    tf.cond(when, reset, lambda: tf.constant(False))
