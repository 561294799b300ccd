"""Segments whose mean shows exactly which of them it is made of."""

from collections.abc import Iterable
from fractions import Fraction

import numpy as np

from qtdog_tf.averaging.loss_valley import LossValley
from qtdog_tf.averaging.segments import Segment


def one_hot(index: int) -> list[np.ndarray]:
    value = np.array([Fraction(0)] * 20, dtype=object)
    value[index] = Fraction(1)
    return [value]


def segments(losses: Iterable[float]) -> list[Segment]:
    return [Segment(100 * i, loss, one_hot(i)) for i, loss in enumerate(losses)]


def weights(valley: LossValley) -> dict[int, Fraction]:
    [value] = valley.final()
    return {i: weight for i, weight in enumerate(value) if weight}
