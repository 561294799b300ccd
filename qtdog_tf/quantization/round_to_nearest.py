"""Round-to-nearest: the step size of each channel that loses least, found exactly.

Quantization after training (PTQ) without data. For the weights w of a channel and a step size s
let c(s) = clip(round(w / s), q_min, q_max). Wanted is the s that minimises |w - s c(s)|^2.

As s falls, each code moves away from 0 one by one, at s = |w_i| / (k + 1/2) from k to k + 1, and
between two such places all codes are constant. For constant codes the best s is A / B, with
A = sum w_i c_i and B = sum c_i^2, and the error is sum w_i^2 - A^2 / B. Rounding again at that s
can only lower it. So the least error of all belongs to the largest A^2 / B, and sorting those
places and two running sums find it: no grid, no local minimum.

Start from `best_step_size`.
"""

import numpy as np

from qtdog_tf.quantization.lsq import MIN_STEP_SIZE, CodeRange

# Places sorted at a time, 8 bytes each and several arrays of them.
_CHUNK = 2**22


def best_step_size(channels: np.ndarray, code_range: CodeRange) -> np.ndarray:
    """The step size of each channel with the least squared rounding error.

    Args:
        channels: weights, float [channels, weights of each].
        code_range: the codes in use.

    Returns:
        float64 [channels], positive; `MIN_STEP_SIZE` for a channel of zeros.

    Example:
        >>> best_step_size(np.array([[0.5, -1.0, 1.5]]), CodeRange(3))
        array([0.5])
    """
    channels = np.asarray(channels, np.float64)
    places = channels.shape[1] * max(code_range.q_max, -code_range.q_min)
    rows = max(1, _CHUNK // places)
    parts = [
        _best(channels[start : start + rows], code_range) for start in range(0, len(channels), rows)
    ]
    return np.maximum(np.concatenate(parts), MIN_STEP_SIZE)


def round_to_codes(
    weights: np.ndarray, step_size: np.ndarray | float, code_range: CodeRange
) -> np.ndarray:
    """Codes, clip(round(w / s), q_min, q_max), float64, of the shape of the weights."""
    return np.clip(np.rint(weights / step_size), code_range.q_min, code_range.q_max)


def _best(channels: np.ndarray, code_range: CodeRange) -> np.ndarray:
    """`best_step_size` of a few channels; 0 for a channel of zeros."""
    magnitude = np.abs(channels)[:, :, None]
    highest = np.where(channels < 0, -code_range.q_min, code_range.q_max)[:, :, None]
    code = np.arange(max(code_range.q_max, -code_range.q_min))
    # Where the code goes from `code` to `code` + 1; places that do not exist come last, at 0.
    place = np.where(code < highest, magnitude / (code + 0.5), 0.0)
    place = place.reshape(len(channels), -1)
    order = np.argsort(-place, axis=1, kind="stable")
    exists = np.take_along_axis(place, order, axis=1) > 0
    weight, before = np.divmod(order, len(code))
    a = np.cumsum(exists * np.take_along_axis(magnitude[:, :, 0], weight, axis=1), axis=1)
    b = np.cumsum(exists * (2 * before + 1.0), axis=1)
    gain = np.divide(a * a, b, out=np.zeros_like(a), where=b > 0)
    best = gain.argmax(axis=1)[:, None]
    a, b = (np.take_along_axis(total, best, axis=1)[:, 0] for total in (a, b))
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)
