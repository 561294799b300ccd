"""Gradient disorder: how often a gradient changes its sign, and what is frozen for its lack.

Of the gradients g_1 ... g_K of one number, over a window of K steps:

    disorder = 1 / (K - 1) * number of i from 1 to K - 1 with sign(g_i) != sign(g_i+1)

0 is a gradient that points one way throughout, 1 one that turns at every step. Windows follow each
other without a pair in common. At the end of each, what has less disorder than a threshold is
frozen for the next one. Start from `take_in`.
"""

from typing import NamedTuple

import tensorflow as tf


class Disorder(NamedTuple):
    """What is remembered of N gradients, so that none of them has to be kept.

    Attributes:
        seen: int64 scalar, steps of the present window.
        signs: float32 [N], -1, 0 or 1: signs of the last step.
        flips: int64 [N], how often the sign has changed in the present window.
        frozen: bool [N], decided at the end of the last window.
    """

    seen: tf.Tensor
    signs: tf.Tensor
    flips: tf.Tensor
    frozen: tf.Tensor


def no_disorder(count: int) -> Disorder:
    """Before the first step: nothing is frozen.

    Args:
        count: N.
    """
    return Disorder(
        tf.zeros([], tf.int64),
        tf.zeros([count], tf.float32),
        tf.zeros([count], tf.int64),
        tf.zeros([count], tf.bool),
    )


def take_in(
    before: Disorder,
    gradients: tf.Tensor,
    *,
    window: int,
    threshold: float,
    permanent: bool = False,
) -> Disorder:
    """What is remembered after one more step.

    Args:
        before: the step.
        gradients: float32 [N]. If one of them is not finite, which happens under loss scaling and
            makes the optimizer leave out the step, the step does not count.
        window: K, at least 2.
        threshold: what has less disorder than this is frozen for the next window.
        permanent: what is frozen once stays frozen.

    Example:
        >>> state = no_disorder(2)
        >>> for g in ([1.0, 1.0], [2.0, -1.0], [1.0, 1.0]):  # disorder 0 and 1
        ...     state = take_in(state, tf.constant(g), window=3, threshold=0.5)
        >>> state.frozen.numpy()
        array([ True, False])
    """
    signs = tf.sign(gradients)
    # The first gradient of a window has none before it.
    flipped = tf.logical_and(before.seen > 0, signs != before.signs)
    flips = before.flips + tf.cast(flipped, tf.int64)
    seen = before.seen + 1
    frozen = tf.cast(flips, tf.float32) / (window - 1) < threshold
    if permanent:
        frozen = tf.logical_or(frozen, before.frozen)
    full = seen >= window
    after = Disorder(
        tf.where(full, tf.zeros_like(seen), seen),
        signs,
        tf.where(full, tf.zeros_like(flips), flips),
        tf.where(full, frozen, before.frozen),
    )
    counts = tf.reduce_all(tf.math.is_finite(gradients))
    return Disorder(*(tf.where(counts, a, b) for a, b in zip(after, before, strict=True)))
