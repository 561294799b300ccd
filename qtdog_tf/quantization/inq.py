"""Incremental network quantization (INQ): weights become powers of two, portion by portion.

With m = max|w| of a layer when quantization starts, the levels are 0 and +-2^n for n2 <= n <= n1
(method, section 3):

    n1 = floor(log2(4 m / 3)),   2^n1 is the level that m goes to
    n1 - n2 + 1 = 2^(bits-2)         exponents by the rule "paper", which leaves codes unused
                = 2^(bits-1) - 1     by the rule "code" (the released code's)

A weight goes to the nearest level: to 2^n from 3/4 2^n up to 3/2 2^n, to 0 below half the smallest.
(The paper's rule sends what is beyond 3/2 2^n1 to 0. There is nothing when quantization starts; a
weight that grows there later goes to the largest level.)

Of the free weights of a layer the largest go to their levels first, until a portion of the layer is
fixed; the free ones train on and make up for it; and so on until all are fixed. Start from
`INQWeightQuantizer` in `inq_quantizer.py`. Reference: Zhou et al., "Incremental Network
Quantization", ICLR 2017.
"""

import numpy as np
import tensorflow as tf

LEVEL_RULES = ("paper", "code")

# The smallest float32 that computers do not take for 0.
_SMALLEST = 2.0**-126
# Of a layer of zeros; above `lsq.MIN_STEP_SIZE`.
_SMALLEST_TOP = 2.0**-26


def exponents(bits: int, rule: str = "paper") -> int:
    """How many powers of two there are of each sign.

    Args:
        bits: bit width, 2 to 8.
        rule: "paper" or "code", see above.

    Raises:
        ValueError: for an unknown rule.
    """
    if rule not in LEVEL_RULES:
        raise ValueError(f"level rule must be one of {LEVEL_RULES}, received {rule!r}")
    return 2 ** (bits - 2) if rule == "paper" else 2 ** (bits - 1) - 1


def nearest_power(magnitude: tf.Tensor) -> tf.Tensor:
    """2^floor(log2(4 x / 3)), the power of two that is nearest to x; 0 for 0.

    Args:
        magnitude: float32, not negative. Computed from its bits, so exactly: half of the mantissa's
            range is added, which counts the exponent up from 1.5 2^n on.
    """
    bits = tf.bitcast(magnitude, tf.int32)
    return tf.bitcast(tf.bitwise.bitwise_and(bits + 0x00400000, 0x7F800000), tf.float32)


def largest_level(weight: tf.Tensor) -> tf.Tensor:
    """2^n1 of a layer, float32 scalar."""
    largest = tf.reduce_max(tf.abs(tf.cast(weight, tf.float32)))
    return tf.maximum(nearest_power(largest), _SMALLEST_TOP)


def to_level(weight: tf.Tensor, top: tf.Tensor, count: int) -> tf.Tensor:
    """Each weight's level, float32, of the shape of the weight.

    Args:
        weight: float32.
        top: the largest level, a power of two, broadcastable.
        count: number of powers, see `exponents`.

    Example:
        >>> to_level(tf.constant([0.8, -0.3, 0.1, 9.0]), tf.constant(1.0), 3).numpy()
        array([ 1.  , -0.25,  0.  ,  1.  ], dtype=float32)
    """
    magnitude = tf.abs(weight)
    bottom = _bottom(top, count)
    level = tf.clip_by_value(nearest_power(magnitude), bottom, top)
    return tf.sign(weight) * tf.where(magnitude < bottom / 2, tf.zeros_like(level), level)


def level_codes(weight: tf.Tensor, top: tf.Tensor, count: int) -> tf.Tensor:
    """The number of each weight's level, int32: 0, and +-1 for the smallest to +-count."""
    level = to_level(weight, top, count)
    # Both are powers of two, so their quotient and its logarithm are exact.
    place = tf.math.log(tf.maximum(tf.abs(level), _SMALLEST) / _bottom(top, count)) / np.log(2.0)
    return tf.cast(tf.sign(level) * (tf.round(place) + 1.0), tf.int32)


def choose_largest(weight: np.ndarray, is_fixed: np.ndarray, portion: float) -> np.ndarray:
    """Which weights are fixed when a portion of the layer is: those that are, then the largest.

    Args:
        weight: of the layer.
        is_fixed: bool, of its shape.
        portion: 0 to 1, of all its weights; rounded down to whole ones.

    Returns:
        bool, of its shape. Of equal weights the first come first.
    """
    magnitude = np.where(is_fixed, np.inf, np.abs(weight)).ravel()
    count = max(int(portion * magnitude.size), int(is_fixed.sum()))
    chosen = np.zeros(magnitude.size, bool)
    chosen[np.argsort(-magnitude, kind="stable")[:count]] = True
    return chosen.reshape(weight.shape)


def _bottom(top: tf.Tensor, count: int) -> tf.Tensor:
    return tf.maximum(top * 2.0 ** (1 - count), _SMALLEST)
