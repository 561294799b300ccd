"""Progress of a plan of several runs: one line for the run at work, with the plan's time to go."""

import contextlib
import sys
import time
from collections.abc import Iterator

from tqdm import tqdm


class PhaseProgress:
    """Shows a bar for each phase, and how much of the whole plan remains.

    Args:
        total_steps: steps of the whole plan, finished ones included.
        enabled: False keeps silent.
    """

    def __init__(self, total_steps: int, enabled: bool = True) -> None:
        self.total_steps = total_steps
        self.enabled = enabled
        self._done = 0
        self._trained = 0
        self._began = time.monotonic()

    def skip(self, steps: int) -> None:
        """Counts steps that an earlier session has done."""
        self._done += steps

    @contextlib.contextmanager
    def phase(self, name: str, start: int, stop: int) -> Iterator[tqdm]:
        """A bar from `start` to `stop`; both count optimizer updates."""
        # A terminal gets a moving line; a log file one line every half minute.
        interval = 0.5 if sys.stderr.isatty() else 30.0
        with tqdm(
            total=stop,
            initial=start,
            desc=name,
            unit="step",
            mininterval=interval,
            maxinterval=interval,
            disable=not self.enabled,
            dynamic_ncols=True,
        ) as bar:
            yield bar
        self._done += stop - start
        self._trained += stop - start
        remaining = self.total_steps - self._done
        # A phase of which only the end was missing says nothing about the speed.
        if self.enabled and remaining > 0 and self._trained > 0:
            rate = (time.monotonic() - self._began) / self._trained
            minutes = remaining * rate / 60
            done = f"{self._done} of {self.total_steps} steps"
            print(
                f"plan: {done} done, about {minutes:.0f} min to go",
                file=sys.stderr,
                flush=True,
            )
