"""Carries a plan out on an engine: what may begin when, what is tried again, what has failed."""

import contextlib
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType

from tqdm import tqdm

from qtdog_tf.signals import handled_by
from qtdog_tf.sweep.engine import Ended, Engine, Started
from qtdog_tf.sweep.record import FAILED, FINISHED, STOPPED, SweepRecord
from qtdog_tf.sweep.task import Task, TaskResult

# What a program exits with if the person is to blame: the same again would say the same again.
_USER_ERROR = 2
_EVENT_SECONDS = 0.5


class Runner:
    """Does tasks, each after those that it needs.

    Args:
        tasks: in the order in which they should begin.
        after: by name of a task, the names of those that it needs.
        is_done: looks on the disk: the sentence on why the task of that name is not done, or "".
        record: where the end of each task is noted.
        retries: how often a task is begun again that was killed or broke down.
        watch: called about twice a second with the names of the tasks at work and where, and how
            many have failed.

    Attributes:
        failed: the results of tasks that failed, by name.
        blocked: the names of tasks that could not begin since what they need has failed.
        signal_number: of the signal that stopped it, 0 without.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        after: Mapping[str, Sequence[str]],
        is_done: Callable[[str], str],
        record: SweepRecord,
        retries: int,
        watch: Callable[[Mapping[str, str], int], None],
    ) -> None:
        self._tasks = {task.name: task for task in tasks}
        self._after = after
        self._is_done = is_done
        self._record = record
        self._retries = retries
        self._watch = watch
        self._waiting = list(self._tasks)
        self._attempts: dict[str, int] = {}
        self._at_work: dict[str, str] = {}
        self._pending: set[str] = set()
        self._finished: set[str] = set()
        self.failed: dict[str, TaskResult] = {}
        self.blocked: list[str] = []
        self.signal_number = 0
        self._signals = 0
        self._asked = 0

    def run(self, engine: Engine) -> None:
        """Does all tasks, or as many as can be done; stops on SIGTERM and Ctrl-C.

        Args:
            engine: is closed at the end.
        """
        with contextlib.closing(engine), handled_by(self._note):
            while not self.signal_number:
                self._begin(engine)
                if not self._pending:
                    break
                self._handle(engine)
            while self._at_work:
                self._handle(engine)

    def _handle(self, engine: Engine) -> None:
        if self._asked < self._signals:
            # Not in the handler, which may have come in the middle of `submit`, or of printing.
            if not self._asked:
                _say("stopping when the workers have saved; once more kills them")
            engine.stop(signal.SIGKILL if self._asked else signal.SIGTERM)
            self._asked = self._signals
        for event in engine.events(_EVENT_SECONDS):
            if isinstance(event, Started):
                self._at_work[event.name] = event.where
            elif isinstance(event, Ended):
                self._at_work.pop(event.result.name, None)
                self._pending.discard(event.result.name)
                self._end(event.result, engine)
        self._watch(self._at_work, len(self.failed))

    def _begin(self, engine: Engine) -> None:
        for name in list(self._waiting):
            if self._is_hopeless(name):
                self._waiting.remove(name)
                self.blocked.append(name)
            elif all(other in self._finished for other in self._needed(name)):
                self._waiting.remove(name)
                self._submit(name, engine)

    def _needed(self, name: str) -> list[str]:
        return [other for other in self._after.get(name, ()) if other in self._tasks]

    def _is_hopeless(self, name: str) -> bool:
        needed = self._needed(name)
        return any(other in self.failed or self._is_hopeless(other) for other in needed)

    def _submit(self, name: str, engine: Engine) -> None:
        self._attempts[name] = self._attempts.get(name, 0) + 1
        self._pending.add(name)
        engine.submit(self._tasks[name])

    def _end(self, result: TaskResult, engine: Engine) -> None:
        name = result.name
        missing = self._is_done(name)
        if result.code == 0 and missing:
            # It must not happen, and must not end in a table.
            result = TaskResult(name, 1, f"ended well, but {missing}", result.seconds)
        if not missing:
            state = FINISHED
            self._finished.add(name)
        elif self.signal_number:
            state = STOPPED
        elif result.code != _USER_ERROR and self._attempts[name] <= self._retries:
            _say(f"{name} is begun again: {result.error}")
            self._submit(name, engine)
            return
        else:
            _say(f"{name} has failed: {result.error}")
            state = FAILED
            self.failed[name] = result
        self._record.write(self._tasks[name], self._attempts[name], result, state)

    def _note(self, number: int, frame: FrameType | None) -> None:
        # A first signal lets workers save, a second one kills them.
        self.signal_number = number
        self._signals += 1


def _say(sentence: str) -> None:
    """Prints a line above the lines that move."""
    tqdm.write(sentence, file=sys.stderr)
