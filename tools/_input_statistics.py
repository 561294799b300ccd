"""What random augmentation has done to a picture, read from the results, and two such compared.

The picture shows a black square on a coloured ground that is darker on the right. How much ground
is left around the square tells the crop, the darker side the flip, and the colours of ground and
square the changes of colour; the same from the results of any implementation. Start from
`probe_picture`, then `read_results`, then `compare`.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

# The square, as parts of the edge: inside every crop of 70 % of the area, whatever its ratio.
_LOW, _HIGH = 0.4, 0.6
_GROUND = (150, 120, 80)
_DARKER = (105, 84, 56)
_LUMA = np.array([0.299, 0.587, 0.114])
CHANNELS = ("red", "green", "blue")


class Comparison(NamedTuple):
    """One quantity in the results of two implementations.

    Attributes:
        name: the quantity.
        ours: its mean over our results.
        theirs: its mean over theirs.
        error: the standard error of the difference.
        z: the difference in standard errors.
        z_spread: the same of the standard deviations; NaN for a rate, which has none of its own.
        ks: probability of a larger distance between two equal distributions, Kolmogorov-Smirnov;
            NaN for a rate.
    """

    name: str
    ours: float
    theirs: float
    error: float
    z: float
    z_spread: float
    ks: float


def probe_picture(edge: int) -> np.ndarray:
    """The picture, uint8 [edge, edge, 3]. The square is of whole pixels if 10 divides the edge."""
    picture = np.empty((edge, edge, 3), np.uint8)
    picture[:, : edge // 2], picture[:, edge // 2 :] = _GROUND, _DARKER
    inside = slice(round(edge * _LOW), round(edge * _HIGH))
    picture[inside, inside] = 0
    return picture


def read_results(images: np.ndarray) -> dict[str, np.ndarray]:
    """What was done in each result.

    Args:
        images: uint8 [n, size, size, 3], made from `probe_picture`.

    Returns:
        float64 [n] by quantity. "flip" and "grey" are 0 or 1. Area, ratio and centre of a crop are
        in parts of the picture. Hue is in turns of the circle, from the picture's own; grey results
        say nothing on it nor on saturation: NaN.
    """
    pixels = images.astype(np.float64)
    luma = pixels @ _LUMA
    flip = luma[:, 1, 1] < luma[:, 1, -2]
    # As the picture was: its brighter ground on the left.
    upright = np.where(flip[:, None, None], luma[:, :, ::-1], luma)
    left, above, width, height = _free_ground(upright)
    brighter = np.where(flip[:, None], pixels[:, 1, -2], pixels[:, 1, 1])
    grey = (images == images[..., :1]).all(axis=(1, 2, 3))
    hue, saturation = _hue_and_saturation(brighter)
    return {
        **{f"mean of {c}": pixels[..., k].mean(axis=(1, 2)) for k, c in enumerate(CHANNELS)},
        **{f"deviation of {c}": pixels[..., k].std(axis=(1, 2)) for k, c in enumerate(CHANNELS)},
        "crop's area": width * height,
        "crop's ratio, logarithm": np.log(width / height),
        "crop's centre, across": _LOW - left + width / 2,
        "crop's centre, down": _LOW - above + height / 2,
        "flip": flip.astype(float),
        "grey": grey.astype(float),
        "brightness": brighter @ _LUMA,
        "contrast": brighter @ _LUMA - luma.min(axis=(1, 2)),
        "saturation": np.where(grey, np.nan, saturation),
        "hue, turns": np.where(grey, np.nan, hue),
    }


def compare(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> list[Comparison]:
    """Compares each quantity of two sets of results, independent of each other."""
    rows = []
    for name, values in ours.items():
        a, b = values[~np.isnan(values)], theirs[name][~np.isnan(theirs[name])]
        error = math.hypot(*(x.std() / math.sqrt(len(x)) for x in (a, b)))
        z = _ratio(a.mean() - b.mean(), error)
        is_rate = set(np.unique(np.concatenate([a, b]))) <= {0.0, 1.0}
        spread, ks = (math.nan, math.nan) if is_rate else (_z_spread(a, b), ks_probability(a, b))
        rows.append(Comparison(name, a.mean(), b.mean(), error, z, spread, ks))
    return rows


def ks_probability(a: np.ndarray, b: np.ndarray) -> float:
    """The chance that two samples of one continuous distribution are further apart than these."""
    values = np.concatenate([a, b])
    distance = np.abs(
        np.searchsorted(np.sort(a), values, "right") / len(a)
        - np.searchsorted(np.sort(b), values, "right") / len(b)
    ).max()
    root = math.sqrt(len(a) * len(b) / (len(a) + len(b)))
    # Kolmogorov's series, with Stephens' correction for samples of finite size.
    x = (root + 0.12 + 0.11 / root) * distance
    if x < 0.2:
        return 1.0
    return 2 * sum((-1) ** (k - 1) * math.exp(-2 * (k * x) ** 2) for k in range(1, 101))


def _z_spread(a: np.ndarray, b: np.ndarray) -> float:
    """Difference of two standard deviations in standard errors, by the fourth moments."""
    errors = []
    for x in (a, b):
        fourth = np.mean((x - x.mean()) ** 4)
        errors.append(math.sqrt(max(fourth - x.var() ** 2, 0) / len(x)) / max(2 * x.std(), 1e-300))
    return _ratio(a.std() - b.std(), math.hypot(*errors))


def _ratio(difference: float, error: float) -> float:
    return 0.0 if difference == 0 else difference / error if error else math.inf


def _free_ground(luma: np.ndarray) -> tuple[np.ndarray, ...]:
    """What a crop has left of the ground, from the luma of upright results [n, size, size].

    Returns:
        Ground to the left of the square and above it, and width and height of the crop, [n] each,
        as parts of the picture's edge.
    """
    numbers, size = np.arange(len(luma)), luma.shape[1]
    black = luma.min(axis=(1, 2))
    half = (black + luma[:, 1, -2])[:, None, None] / 2
    is_black = luma < half
    column = np.rint((is_black.any(axis=1) * np.arange(size)).sum(1) / is_black.any(axis=1).sum(1))
    row = np.rint((is_black.any(axis=2) * np.arange(size)).sum(1) / is_black.any(axis=2).sum(1))
    column, row = column.astype(int), row.astype(int)

    def amounts(profile: np.ndarray, split: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # Resizing keeps sums, so a pixel half on the square counts as half a pixel of ground.
        found = []
        for side, ground in ((0, profile[:, 0]), (1, profile[:, -1])):
            before = np.arange(size) < split[:, None]
            part = (profile - black[:, None]) / (ground - black)[:, None]
            found.append(np.where(before == (side == 0), part, 0).sum(axis=1))
        return found[0], found[1]

    left, right = amounts(luma[numbers, row], column)
    # The ground is of one kind above and below the left part of the square.
    first = is_black.any(axis=1).argmax(axis=1)
    above, below = amounts(luma[numbers, :, (first + column) // 2], row)
    across, down = ((_HIGH - _LOW) / (size - a - b) for a, b in ((left, right), (above, below)))
    return left * across, above * down, size * across, size * down


def _hue_and_saturation(colours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hue in turns, from -0.5 to 0.5 around the ground's, and saturation of colours [n, 3]."""
    high, low = colours.max(axis=1), colours.min(axis=1)
    angle = np.arctan2(
        math.sqrt(3) * (colours[:, 1] - colours[:, 2]),
        2 * colours[:, 0] - colours[:, 1] - colours[:, 2],
    ) / (2 * math.pi)
    red, green, blue = _GROUND
    own = math.atan2(math.sqrt(3) * (green - blue), 2 * red - green - blue) / (2 * math.pi)
    return (angle - own + 0.5) % 1 - 0.5, (high - low) / np.maximum(high, 1)
