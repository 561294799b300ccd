"""Optimal brain quantization (OBQ; OBC in the paper's tables): rounding that repairs itself.

Quantization after training with calibration data. A row of weights w (one output channel) meets
inputs x; with H = 2 X X^T over calibration inputs, changing w by d costs d^T H d / 2 in the layer's
squared output error. Greedily, one weight at a time (method, section 3):

    p  = argmin_p (q(w_p) - w_p)^2 / [H^-1]_pp        the cheapest weight to round
    w -= H^-1[:, p] (w_p - q(w_p)) / [H^-1]_pp        what is free makes up for it
    H^-1 -= H^-1[:, p] H^-1[p, :] / [H^-1]_pp         p is no longer free

A weight that has been pushed off the end of the lattice, more than half a step size beyond the last
code, is rounded at once (the paper's rule for outliers), the farthest first.

Each row has an H^-1 of its own, so a row of d weights takes about 2/3 d^3 operations. They are put
off: within a block of weights only the diagonal of H^-1 is kept up, and a block's changes come as
one matrix product, which computers are quick at. The results are those of the formulas.

Start from `quantize_rows`. Reference: Frantar and Alistarh, "Optimal Brain Compression", NeurIPS
2022, algorithm 3 and section 5.
"""

from collections.abc import Callable, Sequence

import numpy as np

from qtdog_tf.quantization.lsq import CodeRange
from qtdog_tf.quantization.round_to_nearest import round_to_codes

BLOCK = 64
# What all H^-1 at work may take, bytes, unless a single one takes more.
_MEMORY = 2**26


def inverse_hessian(hessian: np.ndarray, dampening: float) -> np.ndarray:
    """H^-1 with a share of the mean of H's diagonal added to it, so that there is one.

    Args:
        hessian: H or any multiple of it, float64 [d, d], symmetric, not negative.
        dampening: the share, above 0. Inputs that are always 0 then have the curvature of that
            addition alone, and codes do not depend on the scale of H.

    Returns:
        float64 [d, d]; the identity if H is 0.
    """
    mean = float(np.mean(np.diag(hessian)))
    if mean <= 0:
        return np.eye(len(hessian))
    return np.linalg.inv(hessian / mean + dampening * np.eye(len(hessian)))


def quantize_rows(
    rows: np.ndarray,
    inverse: np.ndarray,
    step_size: np.ndarray,
    code_range: CodeRange,
    advance: Callable[[int], object] = lambda rows: None,
) -> np.ndarray:
    """The codes of rows that meet the same inputs.

    Args:
        rows: weights, float [rows, d].
        inverse: H^-1 of the inputs, see `inverse_hessian`, float64 [d, d].
        step_size: of each row, [rows], positive; it stays what it is.
        code_range: the codes in use.
        advance: called with the number of rows done since the last call.

    Returns:
        int32 [rows, d].
    """
    rows = np.asarray(rows, np.float64)
    codes = np.empty(rows.shape, np.int32)
    at_once = max(1, _MEMORY // inverse.nbytes)
    for start in range(0, len(rows), at_once):
        part = slice(start, start + at_once)
        codes[part] = _quantize(rows[part], inverse, step_size[part], code_range)
        advance(len(rows[part]))
    return codes


def _quantize(
    rows: np.ndarray, inverse: np.ndarray, step_size: np.ndarray, code_range: CodeRange
) -> np.ndarray:
    """`quantize_rows` of as many rows as fit into memory together."""
    count, size = rows.shape
    codes = np.empty((count, size), np.int32)
    # Of the weights that are still free; rows go through theirs in different orders.
    weights = rows.copy()
    inverses = [inverse] * count
    places = np.repeat(np.arange(size)[None], count, axis=0)
    while places.size:
        block = min(BLOCK, places.shape[1])
        fixed, changes = _quantize_block(weights, inverses, step_size, code_range, block)
        rounded = round_to_codes(weights, step_size[:, None], code_range)
        done = [np.take_along_axis(array, fixed, axis=1) for array in (places, rounded)]
        np.put_along_axis(codes, done[0], done[1].astype(np.int32), axis=1)
        free = np.ones(places.shape, bool)
        np.put_along_axis(free, fixed, False, axis=1)
        left = places.shape[1] - block
        kept = np.nonzero(free)[1].reshape(count, left)
        places, weights = (np.take_along_axis(a, kept, axis=1) for a in (places, weights))
        for row in range(count):
            inverses[row] = _without(inverses[row], changes[row], kept[row])
    return codes


def _without(inverse: np.ndarray, change: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """H^-1 - U^T U of one row, at the places that are kept."""
    change = change.take(kept, axis=1)
    # Two steps: whole rows first are much faster than single numbers.
    return inverse.take(kept, axis=0).take(kept, axis=1) - change.T @ change


def _quantize_block(
    weights: np.ndarray,
    inverses: Sequence[np.ndarray],
    step_size: np.ndarray,
    code_range: CodeRange,
    block: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Rounds the next `block` weights of each row.

    Args:
        weights: free weights, [rows, free]; changed in place. One that has been rounded stays what
            it was at that moment.
        inverses: H^-1 of them, [free, free] of each row; they stay as they are.
        step_size: [rows].
        code_range: the codes in use.
        block: how many, at most `free`.

    Returns:
        The places that were rounded, [rows, block]; and U, [rows, block, free], by which H^-1
        becomes H^-1 - U^T U.
    """
    count, size = weights.shape
    row = np.arange(count)
    fixed = np.empty((count, block), np.int64)
    is_free = np.ones((count, size), bool)
    changes = np.zeros((count, block, size))
    diagonal = np.stack([np.diagonal(inverse) for inverse in inverses])
    for turn in range(block):
        place = _cheapest(weights, diagonal, is_free, step_size, code_range)
        fixed[:, turn], is_free[row, place] = place, False
        earlier = changes[:, :turn]
        column = np.stack([inverse[p] for inverse, p in zip(inverses, place, strict=True)])
        column -= (earlier[row, :, place][:, None] @ earlier)[:, 0]
        weight, pivot = weights[row, place], column[row, place]
        loss = weight - step_size * round_to_codes(weight, step_size, code_range)
        weights -= np.where(is_free, column * (loss / pivot)[:, None], 0.0)
        changes[:, turn] = column / np.sqrt(pivot)[:, None]
        diagonal -= changes[:, turn] ** 2
    return fixed, changes


def _cheapest(
    weights: np.ndarray,
    diagonal: np.ndarray,
    is_free: np.ndarray,
    step_size: np.ndarray,
    code_range: CodeRange,
) -> np.ndarray:
    """The place of each row's next weight, [rows]: the farthest outlier, or the least loss."""
    steps = step_size[:, None]
    loss = np.abs(weights - steps * round_to_codes(weights, steps, code_range))
    cost = np.divide(loss**2, diagonal, out=np.full_like(loss, np.inf), where=is_free)
    # Half a step size is what rounding inside the lattice loses at most.
    outside = np.where(is_free & (loss > steps / 2 * (1 + 1e-9)), loss, 0.0)
    return np.where(outside.any(axis=1), outside.argmax(axis=1), cost.argmin(axis=1))
