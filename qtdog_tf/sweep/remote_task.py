"""A task on a machine whose disk nobody else sees: `run_remote_task`.

It works in a scratch folder of its own, brings there what an earlier attempt has sent, and sends
what it makes (`upload.py`).
"""

import dataclasses
import re
import shutil
import signal
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qtdog_tf.locks import Held, hold
from qtdog_tf.sweep.plan import LOGS
from qtdog_tf.sweep.shared_folder import SharedFolder
from qtdog_tf.sweep.task import Task, TaskResult, run_task
from qtdog_tf.sweep.upload import Upload, wanted_here

_SCRATCH = "qtdog_tf-scratch"
_NOT_OF_MEMBERS = ("checkpoints", "tensorboard")


def run_remote_task(
    task: Task, url: str, output: str, variables: dict[str, str] | None = None
) -> TaskResult:
    """Carries a task out in a scratch folder and sends its files to a shared one.

    Args:
        task: what to do; its name is that of the folder that it writes.
        url: of the shared folder, for `SharedFolder`.
        output: the folder that the task's command names in its place.
        variables: further variables of its environment.

    Returns:
        How it ended; everything is sent then.

    Raises:
        Superseded: if another attempt at the task has begun meanwhile.
    """
    shared = SharedFolder(url)
    with _scratch_folder() as scratch:
        upload = Upload(shared, scratch, task.name, output)
        bring(shared, scratch, task, output)
        with upload.going_on():
            return run_task(
                moved(task, output, scratch),
                lambda: signal.SIGKILL if upload.superseded else 0,
                variables,
            )


def bring(shared: SharedFolder, scratch: Path, task: Task, output: str) -> None:
    """Brings what a task goes on from, and what it reads.

    Args:
        shared: where it is.
        scratch: where it goes.
        task: the task.
        output: see `run_remote_task`.
    """
    names = wanted_here(list(shared.sizes(task.name)))
    names += shared.sizes(f"{LOGS}/{task.name}.log")
    names += shared.sizes(f"{task.name.split('/')[0]}/settings.json")
    for folder in folders_read(task, output):
        members = shared.sizes(folder)
        names += [name for name in members if Path(name).parent.name not in _NOT_OF_MEMBERS]
    for name in names:
        shared.download(name, scratch / name)


def folders_read(task: Task, output: str) -> list[str]:
    """The folders of the sweep that a command names beside its output, within the shared folder."""
    values = [flag for flag in task.command if not flag.startswith("--output=")]
    return re.findall(rf'(?<=[=,"]){re.escape(output)}/([^,"\n]+)', "\n".join(values))


def moved(task: Task, output: str, scratch: Path) -> Task:
    """The task with the folder of the sweep replaced by another, in its command and log."""
    place = re.compile(rf'(?<=[=,"]){re.escape(output)}(?=/)')
    command = tuple(place.sub(str(scratch), flag) for flag in task.command)
    log = scratch / LOGS / f"{task.name}.log"
    return dataclasses.replace(task, command=command, log=str(log))


@contextmanager
def _scratch_folder() -> Iterator[Path]:
    """A new folder on this machine; those whose process was killed are removed first."""
    root = Path(tempfile.gettempdir()) / _SCRATCH
    root.mkdir(exist_ok=True)
    for folder in root.iterdir():
        if folder.is_dir():
            try:
                with hold(folder, "used"):
                    _remove(folder)
            except Held:
                continue
    folder = root / uuid.uuid4().hex
    with hold(folder, "used"):
        folder.mkdir()
        try:
            yield folder
        finally:
            _remove(folder)


def _remove(folder: Path) -> None:
    """Removes a folder and its lock, which is held."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder.parent / f".{folder.name}.lock").unlink(missing_ok=True)
