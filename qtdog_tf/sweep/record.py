"""sweep.json: what a sweep has tried and what came of it. Start from `SweepRecord`.

What is finished is not read from here but from the folders of runs; this keeps what these cannot
tell: the command of each task, how often it was tried, and why it failed.
"""

import dataclasses
from pathlib import Path
from typing import Any

from qtdog_tf.files import read_json, write_json
from qtdog_tf.runs import claim_folder, is_claimed, versions
from qtdog_tf.sweep.task import Task, TaskResult

RECORD = "sweep.json"
FINISHED, FAILED, STOPPED = "finished", "failed", "stopped"


class SweepRecord:
    """The record of a sweep; every change is on the disk when a method returns.

    Args:
        output: folder of the sweep.
        threads: of each task, which the bits of its result depend on: it stays as it was when the
            sweep began.

    Raises:
        UserError: if the folder belongs to something else, or to a sweep of another number of
            threads.
    """

    def __init__(self, output: Path, threads: int) -> None:
        self.path = output / RECORD
        identity = {"threads": threads}
        self.tasks: dict[str, dict[str, Any]] = {}
        if is_claimed(output, RECORD, identity):
            self.tasks = read_json(self.path)["tasks"]
        self._mark = {"identity": identity, "versions": versions()}

    def write(self, task: Task, attempts: int, result: TaskResult, state: str) -> None:
        """Notes how a task ended.

        Args:
            task: the task.
            attempts: how often it was begun in this sweep.
            result: of the last time.
            state: "finished", "failed" or "stopped".
        """
        plain = dataclasses.asdict(result)
        del plain["name"]
        plain["seconds"] = round(result.seconds, 1)
        self.tasks[task.name] = {
            **plain,
            "attempts": attempts,
            "command": task.typed,
            "log": task.log,
            "state": state,
        }
        self.save()

    def save(self) -> None:
        """Writes the file, in one go."""
        write_json(self.path, {**self._mark, "tasks": self.tasks})


def claim_sweep(output: Path, threads: int) -> None:
    """Marks a folder as that of a sweep before anything has begun, if it is not there already.

    Raises:
        UserError: as `SweepRecord` does.
    """
    claim_folder(output, RECORD, {"threads": threads}, versions=versions(), tasks={})


def recorded_threads(output: Path) -> int | None:
    """The threads of each task of the sweep that a folder belongs to; None if it is none yet.

    Raises:
        UserError: if its record is damaged.
    """
    path = output / RECORD
    return read_json(path)["identity"]["threads"] if path.exists() else None
