"""What carries tasks out: `Engine`, and the events that it reports.

An engine is added in three steps. A subclass of `Engine` in `<name>_engine.py` calls the plain
function `run_task(task)` wherever the work is to be done, with `Task` and `TaskResult` as the only
things that cross to another process or machine; both are plain and can be pickled. `tools/sweep.py`
gets the name as a choice of --engine. Dependencies between tasks, retries and records are no
business of an engine: it is given what may begin, once for each attempt.
"""

import abc
import dataclasses

from qtdog_tf.sweep.task import Task, TaskResult


@dataclasses.dataclass(frozen=True)
class Started:
    """A task has begun.

    Attributes:
        name: of the task.
        where: it is carried out, for a person.
    """

    name: str
    where: str


@dataclasses.dataclass(frozen=True)
class Ended:
    """A task has ended, well or not.

    Attributes:
        result: how. Of a task whose machine is gone: minus SIGKILL as its code, and a sentence.
    """

    result: TaskResult


Event = Started | Ended


class Engine(abc.ABC):
    """Carries tasks out, as many at once as it can.

    Each task that was submitted gets one `Started`, then one `Ended`; a task that `stop` keeps from
    beginning may get neither.
    """

    @abc.abstractmethod
    def submit(self, task: Task) -> None:
        """Takes a task that may begin as soon as there is room."""

    @abc.abstractmethod
    def events(self, seconds: float) -> list[Event]:
        """What has happened since the last call, in order; waits up to `seconds` for a first."""

    @abc.abstractmethod
    def stop(self, number: int) -> None:
        """Asks what runs to end, and lets nothing else begin.

        Args:
            number: SIGTERM: training saves its state first. SIGKILL: at once.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Ends what still runs, as `stop(SIGTERM)` does, and waits for its end."""
