"""How far a sweep is: lines on a terminal that move, one line every half minute in a log."""

import sys
import time
from collections.abc import Callable, Mapping

from tqdm import tqdm

_TERMINAL_SECONDS, _LOG_SECONDS = 1.0, 30.0


def time_to_go(total: float, at_start: float, done: float, seconds: float) -> float | None:
    """Seconds that the rest will take at the rate measured.

    Args:
        total: of the work, in any unit.
        at_start: what was done when the clock started.
        done: what is done now.
        seconds: since then.

    Returns:
        None while nothing was done since.
    """
    if done <= at_start:
        return None
    return (total - done) * seconds / (done - at_start)


def duration(seconds: float | None) -> str:
    """A time for a person: "3.4 h", "12 min", or "?"."""
    if seconds is None:
        return "?"
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"


class SweepProgress:
    """Shows steps and trials of the whole plan, the time to go, and each task at work.

    Args:
        totals: steps of each trial, finished ones included, by name of its task.
        steps_done: counts the steps of a trial that are done.
        weights: what a step of each trial costs, relative to others; those left out cost 1.
        clock: seconds. Default: of the machine.
    """

    def __init__(
        self,
        totals: Mapping[str, int],
        steps_done: Callable[[str], int],
        weights: Mapping[str, float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._totals = totals
        self._steps_done = steps_done
        self._weights = weights
        self._clock = clock
        self._done = {name: steps_done(name) for name in totals}
        self._at_start = self._work()
        self._began = self._shown = clock()
        self._at_work: set[str] = set()
        self._plan_bar: tqdm | None = None
        self._bars: dict[str, tqdm] = {}

    def show(self, at_work: Mapping[str, str], failed: int) -> None:
        """Shows how far it is, if it is time.

        Args:
            at_work: the names of the tasks at work, and where.
            failed: tasks so far.
        """
        terminal = sys.stderr.isatty()
        if self._clock() - self._shown < (_TERMINAL_SECONDS if terminal else _LOG_SECONDS):
            return
        self._shown = self._clock()
        self.count(at_work)
        line = self.line(failed)
        if terminal:
            self._move_bars(line, at_work)
            return
        places = ", ".join(f"{name} ({self._done.get(name, 0)} steps)" for name in at_work)
        print(f"{line}; at work: {places}" if places else line, file=sys.stderr, flush=True)

    def count(self, at_work: Mapping[str, str]) -> None:
        """Counts the steps of those at work, and of those that have ended since the last time."""
        for name in (self._at_work | set(at_work)) & set(self._totals):
            self._done[name] = self._steps_done(name)
        self._at_work = set(at_work)

    def line(self, failed: int) -> str:
        """How far the plan is, in one line."""
        total = sum(steps * self._weight(name) for name, steps in self._totals.items())
        elapsed = self._clock() - self._began
        left = time_to_go(total, self._at_start, self._work(), elapsed)
        finished = sum(self._done[name] == steps for name, steps in self._totals.items())
        return (
            f"sweep: {sum(self._done.values())} of {sum(self._totals.values())} steps, "
            f"{finished} of {len(self._totals)} trials, {failed} failed, {duration(left)} to go"
        )

    def close(self) -> None:
        """Takes the moving lines away."""
        for bar in (*self._bars.values(), *([self._plan_bar] if self._plan_bar else [])):
            bar.close()

    def _work(self) -> float:
        return sum(done * self._weight(name) for name, done in self._done.items())

    def _weight(self, name: str) -> float:
        return self._weights.get(name, 1.0)

    def _move_bars(self, line: str, at_work: Mapping[str, str]) -> None:
        if self._plan_bar is None:
            self._plan_bar = tqdm(bar_format="{desc}", leave=False, dynamic_ncols=True)
        self._plan_bar.set_description_str(line)
        for name in self._bars.keys() - at_work.keys():
            self._bars.pop(name).close()
        for name, where in at_work.items():
            if name not in self._bars:
                self._bars[name] = tqdm(
                    total=self._totals.get(name),
                    desc=f"  {where}: {name}",
                    bar_format="{desc} {n_fmt}/{total_fmt} |{bar}|",
                    leave=False,
                    dynamic_ncols=True,
                )
            self._bars[name].n = self._done.get(name, 0)
            self._bars[name].refresh()
