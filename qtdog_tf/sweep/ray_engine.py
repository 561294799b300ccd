"""The engine for a cluster: every run is a task of Ray, on whatever node has room for it.

Ray begins tasks and notices when a node is gone; the sweep then begins the task again (Ray itself
does not: so there is one attempt at a time, which a folder without locks needs). On every node
there must be this repository, its environment and the data, at the paths where they are here.
"""

import contextlib
import dataclasses
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

from qtdog_tf.errors import UserError, one_line
from qtdog_tf.sweep.engine import Ended, Engine, Event, Started
from qtdog_tf.sweep.mirror import Mirror
from qtdog_tf.sweep.plan import LOGS
from qtdog_tf.sweep.ray_cluster import RaySettings, connect
from qtdog_tf.sweep.remote_task import run_remote_task
from qtdog_tf.sweep.task import Task, TaskResult, run_task

_MIRROR_SECONDS = 30.0
# What a program exits with if the person is to blame, so that it is not begun again.
_USER_ERROR = 2


@dataclasses.dataclass(frozen=True)
class _Running:
    """A task that was handed to Ray.

    Attributes:
        name: of the task.
        items: what it yields: where it runs, then its result.
        began: time.monotonic() when it was handed over.
        place: where it runs; empty before it has begun.
    """

    name: str
    items: Any
    began: float
    place: str = ""


class RayEngine(Engine):
    """Runs tasks on a Ray cluster.

    Args:
        settings: of the cluster.
        mirror: of the shared folder that results go to. Default: all nodes see the folders that
            commands name, on a file system with locks.

    Raises:
        UserError: if Ray is not installed, the cluster cannot be reached, or no node of it has what
            a run needs.
    """

    def __init__(self, settings: RaySettings, mirror: Mirror | None = None) -> None:
        self._mirror = mirror
        self._running: dict[Any, _Running] = {}
        self._asked = 0
        self._mirrored = time.monotonic()
        self._ray = connect(settings)
        # Ray prints what it has to say of nodes to stdout, which belongs to the tables.
        self._quiet = contextlib.ExitStack()
        self._quiet.enter_context(contextlib.redirect_stdout(sys.stderr))
        if mirror:
            mirror.settle()
            mirror.send_records()
        # Attempts are the sweep's business.
        self._remote = self._ray.remote(
            num_cpus=settings.cpus_per_run,
            num_gpus=settings.gpus_per_run,
            max_retries=0,
            num_returns="streaming",
        )(_carry_out)

    def submit(self, task: Task) -> None:
        """Takes a task that may begin as soon as there is room."""
        place = (self._mirror.shared.url, str(self._mirror.folder)) if self._mirror else None
        items = self._remote.options(name=task.name).remote(task, place)
        self._running[items] = _Running(task.name, items, time.monotonic())

    def events(self, seconds: float) -> list[Event]:
        """What has happened since the last call, in order; waits up to `seconds` for a first."""
        self._bring_back()
        if not self._running:
            time.sleep(seconds)
            return []
        waiting = list(self._running)
        ready, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0, fetch_local=False)
        if not ready:
            ready, _ = self._ray.wait(waiting, num_returns=1, timeout=seconds, fetch_local=False)
        return [event for items in ready for event in self._next(self._running[items])]

    def _next(self, running: _Running) -> list[Event]:
        try:
            item = self._ray.get(next(running.items))
        except StopIteration:
            return self._end(running, TaskResult(running.name, 1, "ended without a result", 0.0))
        except self._ray.exceptions.RayError as error:
            return self._end(running, self._lost(running, error))
        if isinstance(item, TaskResult):
            return self._end(running, item)
        self._running[running.items] = dataclasses.replace(running, place=item)
        return [Started(running.name, item)]

    def _end(self, running: _Running, result: TaskResult) -> list[Event]:
        del self._running[running.items]
        if self._mirror:
            self._mirror.bring(running.name)
            self._mirror.bring(f"{LOGS}/{running.name}.log")
        ended = Ended(result)
        return [ended] if running.place else [Started(running.name, "an unknown node"), ended]

    def _lost(self, running: _Running, error: Exception) -> TaskResult:
        """The result of a task that could not tell its own."""
        exceptions = self._ray.exceptions
        where = f" on {running.place}" if running.place else ""
        # The first sentence says it; the rest is advice for those who run the cluster.
        said = one_line(error).split(". ")[0]
        code, why = -signal.SIGKILL, f"its worker{where} is gone: {said}"
        if isinstance(error, exceptions.TaskCancelledError):
            code, why = -(self._asked or signal.SIGTERM), "stopped"
        elif isinstance(error, exceptions.RayTaskError):
            code, why = 1, f"it broke down{where}: {one_line(error.cause)}"
        return TaskResult(running.name, code, why, time.monotonic() - running.began)

    def _bring_back(self) -> None:
        """Brings the logs of tasks at work now and then, by which progress is counted."""
        if self._mirror is None or time.monotonic() - self._mirrored < _MIRROR_SECONDS:
            return
        self._mirrored = time.monotonic()
        # It is only to look at: the next time will do.
        with contextlib.suppress(OSError):
            for running in self._running.values():
                if running.place:
                    self._mirror.bring(running.name)

    def stop(self, number: int) -> None:
        """Asks what runs to end, see `Engine.stop`."""
        self._asked = number
        for running in list(self._running.values()):
            self._ray.cancel(running.items, force=number == signal.SIGKILL)

    def close(self) -> None:
        """Ends what still runs, and waits for its end."""
        if self._running:
            self.stop(self._asked or signal.SIGTERM)
        while self._running:
            self.events(1.0)
        if self._mirror:
            self._mirror.send_records()
        self._ray.shutdown()
        self._quiet.close()


def _carry_out(task: Task, place: tuple[str, str] | None) -> Iterator[str | TaskResult]:
    """What Ray runs: yields where, carries the task out, and yields its result."""
    yield f"{socket.gethostname()}, worker {os.getpid()}"
    variables = {"TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    if place is None:
        yield run_task(task, variables=variables)
        return
    try:
        yield run_remote_task(task, *place, variables)
    except UserError as error:
        yield TaskResult(task.name, _USER_ERROR, str(error), 0.0)
