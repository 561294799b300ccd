"""Variables that hold the running mean of other variables, updated in place."""

from typing import Any

import keras
import tensorflow as tf


def make_shadow(variable: Any) -> Any:
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


def make_counter(name: str) -> Any:
    """An int64 scalar variable that starts at 0."""
    with tf.init_scope():
        return keras.Variable(
            0, dtype="int64", trainable=False, aggregation="only_first_replica", name=name
        )


def take_in(variable: Any, shadow: Any, before: Any) -> None:
    """Makes `shadow`, the mean of earlier values of `variable`, the mean with the present one.

    Args:
        variable: a Keras variable.
        shadow: what `make_shadow` made for it.
        before: number of values in the mean so far, integer scalar. If it is 0 or less, `shadow`
            becomes an exact copy, whatever it was.
    """
    weight = 1.0 / (1.0 + tf.cast(tf.maximum(before, 0), shadow.dtype))
    current = tf.convert_to_tensor(variable)
    # The first copy must not depend on what was there before.
    mean = shadow.value + (current - shadow.value) * weight
    shadow.assign(tf.where(before > 0, mean, current))
