"""Means of weights over segments of training, and their mean. Nothing here is ever changed."""

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Segment:
    """What training did between two evaluations.

    Attributes:
        end: step of the evaluation that closed it.
        loss: validation loss of that evaluation.
        values: mean of the weights over its steps, any arrays. They must not be changed later.
    """

    end: int
    loss: float
    values: list[np.ndarray]


@dataclasses.dataclass(frozen=True)
class Mean:
    """The mean of `count` sets of arrays; merging makes another one.

    Attributes:
        values: the mean.
        count: sets in it. While it is 0, the first that is merged replaces `values`.
    """

    values: list[np.ndarray]
    count: int = 0

    def merge(self, segments: Sequence[Segment]) -> "Mean":
        """The mean with further segments, each of the weight of one, in order."""
        values, count = self.values, self.count
        for segment in segments:
            count += 1
            if count == 1:
                values = segment.values
                continue
            values = [
                np.asarray(mean + (new - mean) / count, mean.dtype)
                for mean, new in zip(values, segment.values, strict=True)
            ]
        return Mean(values, count)
