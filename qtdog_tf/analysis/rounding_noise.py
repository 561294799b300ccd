"""The noise that quantization adds to the weights, d = w_q - w, against independent uniform noise.

Theory takes d for uniform over a step, with mean 0 and variance s^2 / 12 (paper, eq. 4; figures 2
and 8; method, section 7.4). Start from `noise`.
"""

import math
from typing import Any

import keras
import numpy as np

from qtdog_tf.analysis.code_use import QuantizedWeight, quantized_weights

# The paper does not say how many it uses.
BINS = 50
POINTS = 100  # of a symmetry panel


def noise(model: keras.Model) -> dict[str, Any]:
    """Describes the quantization noise of each layer.

    Args:
        model: quantized, as it was trained; it stays as it is.

    Returns:
        Plain values: "bins"; "layers", see `layer_noise`; and "kl_uniform_sample", the median over
        layers of theirs. Of a float model: {"layers": []}.
    """
    layers = [layer_noise(weight) for weight in quantized_weights(model)]
    if not layers:
        return {"layers": []}
    expected = float(np.median([layer["kl_uniform_sample"] for layer in layers]))
    return {"bins": BINS, "layers": layers, "kl_uniform_sample": expected}


def layer_noise(weight: QuantizedWeight) -> dict[str, Any]:
    """Describes d = w_q - w of one weight tensor w with its step sizes s.

    Returns:
        Plain values: "name"; "weights", their number; "bits"; "kl" of d, in nats, see
        `kl_to_uniform`; "kl_in_steps", that of d / s, which does not mix step sizes of different
        width; "kl_inside", the same without clipped weights, a few of which stretch the range far
        beyond a step; "kl_uniform_sample", that of as many truly uniform numbers on average;
        "rms_ratio", the root of the mean of 12 d^2 / s^2, 1 for uniform noise; "bias", the mean of
        d / s; "clipped", the fraction of weights outside of the codes' range; "histogram" of d,
        "edges" and "density"; "symmetry" of d, see `symmetry`.
    """
    latent = weight.variable.numpy()
    d = weight.value.astype(np.float64) - latent
    in_steps = d / weight.step_size
    position = latent / weight.step_size  # in float32, as the quantizer divides
    outside = (position < weight.code_range.q_min) | (position > weight.code_range.q_max)
    counts, edges = histogram(d)
    return {
        "name": weight.name,
        "weights": int(d.size),
        "bits": weight.code_range.bits,
        "kl": kl_to_uniform(counts),
        "kl_in_steps": kl_to_uniform(histogram(in_steps)[0]),
        "kl_inside": kl_to_uniform(histogram(in_steps[~outside])[0]) if not outside.all() else 0.0,
        "kl_uniform_sample": kl_of_uniform_sample(d.size),
        "rms_ratio": math.sqrt(12 * np.mean(in_steps**2)),
        "bias": float(np.mean(in_steps)),
        "clipped": float(np.mean(outside)),
        "histogram": {"edges": edges.tolist(), "density": _density(counts, edges).tolist()},
        "symmetry": symmetry(d),
    }


def histogram(values: np.ndarray, bins: int = BINS) -> tuple[np.ndarray, np.ndarray]:
    """Counts values in bins of equal width between their minimum and maximum.

    Returns:
        Counts [bins], and edges [bins + 1]. If all values are equal, so are the edges, and all
        counts are equal too: the values are what a uniform distribution of width 0 gives.
    """
    low, high = float(np.min(values)), float(np.max(values))
    if low == high:
        return np.full(bins, np.size(values) / bins), np.full(bins + 1, low)
    return np.histogram(values, bins, (low, high))


def kl_to_uniform(counts: np.ndarray) -> float:
    """KL(histogram || uniform) = sum p log(p / q) in nats, with q = 1 / bins.

    An empty bin contributes 0.
    """
    p = counts[counts > 0] / np.sum(counts)
    return float(np.sum(p * np.log(p * len(counts))))


def kl_of_uniform_sample(size: int, bins: int = BINS) -> float:
    """The mean of `kl_to_uniform` over samples of a uniform distribution: what chance alone gives.

    Exact. The smallest and the largest number fall into the outer bins, since the bins span them;
    the others fall anywhere. For large samples it is (bins - 1) / (2 size).

    Args:
        size: numbers in a sample, at least 1.
        bins: of the histogram, at least 2.
    """
    if size < 2:
        return 0.0
    others = size - 2
    mean = others / bins
    reach = 20 + 10 * math.sqrt(mean)  # what lies beyond is less likely than 1e-15
    low, high = max(0, math.floor(mean - reach)), min(others, math.ceil(mean + reach))
    counts = np.arange(low, high + 1)
    logs = [_log_binomial(others, int(count), 1 / bins) for count in counts]
    chance = np.exp(logs)
    share = (counts + np.array([[0], [1]])) / size  # of an inner, and of an outer bin
    terms = share * np.log(np.where(share > 0, share * bins, 1.0))
    inner, outer = terms @ chance / chance.sum()
    return float((bins - 2) * inner + 2 * outer)


def symmetry(values: np.ndarray, points: int = POINTS) -> dict[str, list[float]]:
    """Distances to the median: those of the lower half beside those of the upper half.

    Of a symmetric distribution they are equal (symmetry plot: Chambers et al., "Graphical Methods
    for Data Analysis", 1983).

    Returns:
        "lower" and "upper": as many quantiles of each, from the smallest to the largest; `points`
        of them, or as many as there are values in a half.
    """
    ordered = np.sort(values, axis=None)
    half = ordered.size // 2
    if half == 0:
        return {"lower": [], "upper": []}
    middle = np.median(ordered)
    at = np.linspace(0, 1, min(points, half))
    lower, upper = middle - ordered[:half], ordered[-half:] - middle
    return {"lower": np.quantile(lower, at).tolist(), "upper": np.quantile(upper, at).tolist()}


def _density(counts: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The share of each bin per width; 0 where there is no width."""
    widths = np.diff(edges)
    return np.divide(counts / counts.sum(), widths, out=np.zeros(len(counts)), where=widths > 0)


def _log_binomial(trials: int, successes: int, chance: float) -> float:
    """Logarithm of the probability of so many successes, each with that chance."""
    failures = trials - successes
    ways = math.lgamma(trials + 1) - math.lgamma(successes + 1) - math.lgamma(failures + 1)
    return ways + successes * math.log(chance) + failures * math.log1p(-chance)
