"""Forward and backward passes that leave everything as it was, until the loss is known to be fine.

A pass changes more than it returns: BatchNorm's moving statistics, the seeds of dropout, and, where
a method looks at the loss elsewhere, the weights. Here all of that is put back right after the
pass, before the loss is checked. So a loss that is not finite stops training with the model as it
was, a second pass sees the dropout masks of the first, and nothing counts twice.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from qtdog_tf.models.batch_norm import FrozenBatchNormalization

# Part of the message, by which `fit` tells this error from others.
NOT_FINITE = "the loss is not finite"


class Outcome(NamedTuple):
    """What a forward pass gives.

    Attributes:
        loss: float32 scalar.
        logits: [B, classes], for the metrics.
        updates: (variable, new value) of the method's own state.
        labels: integer [B], the class that each row of logits should name; None: the batch's.
    """

    loss: tf.Tensor
    logits: tf.Tensor
    updates: Sequence[tuple[Any, tf.Tensor]] = ()
    labels: tf.Tensor | None = None


class Pass(NamedTuple):
    """What a forward and backward pass gives.

    Attributes:
        outcome: of the forward pass; its loss is checked to be finite.
        gradients: one a trainable variable of the model, or None; times the loss scale, if any.
        layer_values: what `forward_state` would be after the pass.
    """

    outcome: Outcome
    gradients: list[Any]
    layer_values: list[tf.Tensor]


def forward_state(model: keras.Model) -> list[Any]:
    """The variables that a forward pass in training mode changes: statistics and seeds."""
    layers = model._flatten_layers(include_self=False, recursive=True)
    return [variable for layer in layers for variable in changed_by_training(layer)]


def changed_by_training(layer: keras.layers.Layer) -> list[Any]:
    """The variables of a layer, not of those in it, that a pass in training mode changes."""
    seeds = [generator.state for generator in layer._seed_generators]
    if isinstance(layer, FrozenBatchNormalization | keras.layers.Normalization):
        return seeds
    return [*layer._non_trainable_variables, *seeds]


def backpropagate(
    model: keras.Model,
    compute: Callable[[], Outcome],
    elsewhere: Sequence[tuple[Any, tf.Tensor]] = (),
) -> Pass:
    """One forward and backward pass, after which all variables are what they were.

    Args:
        model: compiled.
        compute: runs the forward pass.
        elsewhere: (variable, value) pairs: during the pass the variables hold these values. They
            get their own back by assignment, so to the last bit.

    Returns:
        The pass.

    Raises:
        tf.errors.InvalidArgumentError: if the loss is not finite.
    """
    layers = forward_state(model)
    moved = [variable for variable, _ in elsewhere]
    before = read([*layers, *moved])
    write(moved, [value for _, value in elsewhere])
    with tf.GradientTape() as tape:
        outcome = compute()
        scaled = model.optimizer.scale_loss(outcome.loss)
    gradients = tape.gradient(scaled, model.trainable_variables)
    after = read(layers)
    with tf.control_dependencies(write([*layers, *moved], before)):
        loss = check_finite(outcome.loss)
    return Pass(outcome._replace(loss=loss), gradients, after)


def check_finite(loss: tf.Tensor) -> tf.Tensor:
    """Returns the loss; raises InvalidArgumentError, which names it, if it is not finite."""
    return tf.debugging.check_numerics(loss, NOT_FINITE)


def all_or_nothing(
    variables: Sequence[Any], before: Sequence[tf.Tensor], losses: Sequence[tf.Tensor]
) -> tf.Tensor:
    """Takes back a step of several updates, if a loss on the way was not finite.

    Args:
        variables: all that the updates changed.
        before: their values before the step.
        losses: scalars, those of the passes of the step.

    Returns:
        `losses`, float32 [len(losses)]; what depends on them happens only if all are finite.

    Raises:
        tf.errors.InvalidArgumentError: if one is not finite, after everything was put back.
    """
    stacked = tf.stack(losses)

    def put_back() -> tf.Tensor:
        with tf.control_dependencies(write(variables, before)):
            return tf.constant(False)

    good = tf.cond(tf.reduce_all(tf.math.is_finite(stacked)), lambda: tf.constant(True), put_back)
    with tf.control_dependencies([good]):
        return check_finite(stacked)


def read(variables: Sequence[Any]) -> list[tf.Tensor]:
    """The present values of Keras variables."""
    return [tf.identity(tf.convert_to_tensor(variable)) for variable in variables]


def write(variables: Sequence[Any], values: Sequence[tf.Tensor]) -> list[tf.Operation]:
    """Assigns values to Keras variables; returns the operations, none when run eagerly."""
    operations = [
        variable.value.assign(value, read_value=False)
        for variable, value in zip(variables, values, strict=True)
    ]
    return [operation for operation in operations if operation is not None]
