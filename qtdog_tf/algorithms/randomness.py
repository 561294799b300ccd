"""Random numbers that are a pure function of (seed, step), so that a resumed run repeats them."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def step_seed(seed: int, step: tf.Tensor, purpose: int = 0) -> tf.Tensor:
    """A seed for the `stateless_*` functions, int64 [2].

    Args:
        seed: of the run.
        step: integer scalar.
        purpose: tells apart several draws of one step.
    """
    pair = tf.stack([tf.constant(seed, tf.int64), tf.cast(step, tf.int64)])
    return derived(pair, purpose)


def derived(seed: Any, purpose: int) -> tf.Tensor:
    """Another seed, [2], for each `purpose`."""
    return tf.random.fold_in(seed, purpose, alg=tf.random.Algorithm.PHILOX)


def uniform(shape: Sequence[Any] | tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Uniform in [0, 1), float32."""
    return tf.random.stateless_uniform(shape, seed, alg=tf.random.Algorithm.PHILOX)


def permutation(size: int | tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """The numbers 0 to size - 1 in random order, int32 [size]."""
    return tf.argsort(uniform([size], seed))


def symmetric_beta(alpha: float, shape: Sequence[Any] | tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draws from Beta(alpha, alpha), float32.

    X / (X + Y) of two gamma variates, in logarithms: for small alpha both are often too small for
    a float32, which would give 0 / 0. log X = log G + log(U) / alpha, with G of Gamma(alpha + 1).

    Args:
        alpha: above 0; small values favour results near 0 and 1.
        shape: of the result.
        seed: [2].
    """

    def log_gamma_variate(purpose: int) -> tf.Tensor:
        key = derived(seed, purpose)
        gamma = tf.random.stateless_gamma(shape, derived(key, 0), alpha + 1.0)
        return tf.math.log(gamma) + tf.math.log(1.0 - uniform(shape, derived(key, 1))) / alpha

    return tf.sigmoid(log_gamma_variate(0) - log_gamma_variate(1))
