"""Where SWAD's average begins and ends: the valley of the validation loss.

Decisions only; what a segment holds and where its loss comes from is up to the caller.
"""

import dataclasses
import math
from collections import deque
from typing import Any

import numpy as np

from qtdog_tf.averaging.base import AverageState
from qtdog_tf.averaging.segments import Mean, Segment

PAPER, CODE = "paper", "code"
MODES = (PAPER, CODE)


class LossValley:
    """SWAD's LossValley on closed segments (method, section 5.1).

    The run has converged when the first of the last `converge` losses is the least of them. The
    threshold is then their mean times 1 + `ratio`. When the last `tolerance` losses are all above
    it, the valley is over and the average final.

    "paper" is the algorithm of the SWAD paper: each segment once, from the one at which the
    run converged to the last before the `tolerance` losses that ended the valley, or to the end of
    training. "code" is the released code, which differs: the average may reach back before
    the segment of convergence; in the first case that segment is merged again later, and where less
    than `tolerance` segments exist others are, too; and at the end of training, segments after
    the last loss below the threshold are left out. A run that never converged gives its last
    segment in both.

    A loss that is not a number counts as infinite.

    Args:
        converge: N_s. Default 3.
        tolerance: N_e. Default 6.
        ratio: r, 0 or more. Default 0.3.
        mode: "paper" (default) or "code".

    Raises:
        ValueError: for a value outside those named.

    Attributes:
        dead: whether the valley is over.
    """

    def __init__(
        self, converge: int = 3, tolerance: int = 6, ratio: float = 0.3, mode: str = PAPER
    ) -> None:
        for name, number in (("converge", converge), ("tolerance", tolerance)):
            if number < 1:
                raise ValueError(f"{name} must be 1 or more evaluations, received {number}")
        if not (ratio >= 0 and math.isfinite(ratio)):
            raise ValueError(f"ratio must be a number of 0 or more, received {ratio}")
        if mode not in MODES:
            raise ValueError(f"mode must be one of {MODES}, received {mode!r}")
        self.converge = converge
        self.tolerance = tolerance
        self.ratio = ratio
        self.mode = mode
        self.dead = False
        # The released code's two queues are the ends of this one.
        self._recent: deque[Segment] = deque(maxlen=max(converge, tolerance))
        self._mean = Mean([])
        self._converged_at: int | None = None
        self._threshold = 0.0  # Means nothing before convergence.

    @property
    def ready(self) -> bool:
        """Whether there is a segment to average."""
        return bool(self._recent) or self.dead

    @property
    def _window(self) -> list[Segment]:
        """The last `tolerance` segments."""
        return list(self._recent)[-self.tolerance :]

    def add(self, segment: Segment) -> None:
        """Takes in a segment; nothing happens once the valley is over.

        Raises:
            ValueError: if it does not end after the one before.
        """
        if self.dead:
            return
        if self._recent and segment.end <= self._recent[-1].end:
            raise ValueError(
                f"a segment must end after step {self._recent[-1].end}, received {segment.end}"
            )
        if math.isnan(segment.loss):
            segment = dataclasses.replace(segment, loss=math.inf)
        self._recent.append(segment)
        if self._converged_at is None:
            self._look_for_convergence()
        elif self._window_is_inside():
            if min(s.loss for s in self._window) > self._threshold:
                self.dead = True
                self._recent.clear()
            else:
                self._mean = self._mean.merge(self._window[:1])

    def _look_for_convergence(self) -> None:
        last = list(self._recent)[-self.converge :]
        losses = [segment.loss for segment in last]
        if len(last) < self.converge or min(losses) < losses[0]:
            return
        self._converged_at = last[0].end
        self._threshold = float(np.mean(losses)) * (1 + self.ratio)
        if self.mode == PAPER:
            # Those that the window has left behind already, up to the oldest that is in it.
            self._mean = self._mean.merge(last[: max(self.converge - self.tolerance + 1, 0)])
            return
        merged: list[Segment] = []
        if self.tolerance < self.converge:
            merged = last[1 : 1 + self.converge - self.tolerance]
        elif self.tolerance > self.converge:
            oldest = self._window[: self.tolerance - self.converge + 1]
            above = [i for i, segment in enumerate(oldest) if segment.loss > self._threshold]
            start = above[-1] + 1 if above else 0
            merged = oldest[start + 1 :]
        self._mean = Mean(last[0].values).merge(merged)

    def _window_is_inside(self) -> bool:
        """Whether the oldest segment of the window counts, so that it is merged if none died."""
        window = self._window
        if self._converged_at is None or window[0].end < self._converged_at:
            return False
        # In a window that is not full the oldest would be merged again and again.
        return self.mode == CODE or len(window) == self.tolerance

    def final(self) -> list[np.ndarray]:
        """The average, if training ended now. Changes nothing, so training may go on.

        Raises:
            ValueError: if there is no segment yet.
        """
        if not self.ready:
            raise ValueError("there is no average yet: no segment has been closed")
        if self.dead:
            return self._mean.values
        if self._converged_at is None:
            return self._recent[-1].values
        window = self._window
        if self.mode == PAPER:
            merged = 1 if self._window_is_inside() else 0
            since = [segment for segment in window if segment.end >= self._converged_at]
            return self._mean.merge(since[merged:]).values
        below = [i for i, segment in enumerate(window) if segment.loss <= self._threshold]
        return self._mean.merge(window[1 : max(below, default=0) + 1]).values

    def capture(self, prefix: str) -> AverageState:
        """Everything that decides how it goes on; names of arrays begin with `prefix`."""
        arrays = {_segment_name(prefix, s.end): s.values for s in self._recent}
        average = f"{prefix}-average-{self._mean.count}merges" if self._mean.values else None
        if average:
            arrays[average] = self._mean.values
        plain: dict[str, Any] = {
            "recent": [[segment.end, segment.loss] for segment in self._recent],
            "average": average,
            "merges": self._mean.count,
            "converged_at": self._converged_at,
            "threshold": self._threshold,
            "dead": self.dead,
        }
        return AverageState(plain, arrays)

    def restore(self, state: AverageState, prefix: str) -> None:
        """Puts back what `capture` returned for the same prefix and settings."""
        plain, arrays = state.plain, state.arrays
        self._recent.clear()
        for end, loss in plain["recent"]:
            self._recent.append(Segment(end, loss, arrays[_segment_name(prefix, end)]))
        average = plain["average"]
        self._mean = Mean(arrays[average] if average else [], plain["merges"])
        self._converged_at = plain["converged_at"]
        self._threshold = plain["threshold"]
        self.dead = plain["dead"]


def _segment_name(prefix: str, end: int) -> str:
    return f"{prefix}-segment-{end:06d}"
