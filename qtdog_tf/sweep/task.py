"""A task: one command that a person could type, carried out in a process of its own.

`run_task` is all that an engine needs to call, on this machine or on another.
"""

import dataclasses
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from qtdog_tf.errors import UserError, one_line
from qtdog_tf.locks import Held, hold

_CHILD = Path(__file__).with_name("_program_child.py")
_POLL_SECONDS = 0.2
_TAIL_BYTES = 2**16


@dataclasses.dataclass(frozen=True)
class Task:
    """One command, and where it belongs.

    Attributes:
        name: unique in a sweep, for example "pacs_resnet50/sketch-trial0".
        command: a module of `tools` and its flags: ("tools.train", "--data=pacs", ...).
        folder: the absolute folder that the command is given in; paths in flags start there.
        log: absolute path of the file that its output goes to, at the end of what is there.
        threads: of the processor that it may use; 0: all.
    """

    name: str
    command: tuple[str, ...]
    folder: str
    log: str
    threads: int = 0

    @property
    def typed(self) -> str:
        """The command as a person would type it."""
        settings = [f"{name}={value}" for name, value in thread_variables(self.threads).items()]
        return shlex.join([*settings, "python", "-m", *self.command])


@dataclasses.dataclass(frozen=True)
class TaskResult:
    """How a task ended.

    Attributes:
        name: of the task.
        code: its exit code, or minus the number of the signal that ended it.
        error: one sentence, empty if the code is 0.
        seconds: how long it took.
    """

    name: str
    code: int
    error: str
    seconds: float


def thread_variables(threads: int) -> dict[str, str]:
    """Variables of the environment that keep TensorFlow to so many threads; none for 0."""
    if not threads:
        return {}
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    return dict.fromkeys(names, str(threads))


def never() -> int:
    """Asks for no stop."""
    return 0


def run_task(
    task: Task, asked: Callable[[], int] = never, variables: Mapping[str, str] | None = None
) -> TaskResult:
    """Carries a task out and waits for its end.

    The process saves its work and ends when this one ends, however that happens. Until it has
    ended nobody else begins the same task: another caller waits.

    Args:
        task: what to do.
        asked: the number of the signal to end it by, 0 while it may go on. SIGTERM lets it save.
        variables: further variables of its environment.

    Returns:
        How it ended. Whatever goes wrong is no exception here, unless it comes from outside.
    """
    try:
        return _run(task, asked, variables or {})
    except UserError as error:
        return TaskResult(task.name, 2, str(error), 0.0)
    except Exception as error:  # who waits for the end of a task would wait for ever
        return TaskResult(task.name, 1, one_line(error), 0.0)


def _run(task: Task, asked: Callable[[], int], variables: Mapping[str, str]) -> TaskResult:
    began = time.monotonic()
    log = Path(task.log)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output, _held(log, output, asked) as lock:
        if lock is None:
            return TaskResult(task.name, -asked(), "stopped before it began", 0.0)
        output.write(f"$ {task.typed}\n".encode())
        output.flush()
        start = output.seek(0, os.SEEK_END)
        code = _wait(_begin(task, output, lock, variables), asked)
    error = _sentence(log, start, code) if code else ""
    return TaskResult(task.name, code, error, time.monotonic() - began)


@contextmanager
def _held(log: Path, output: IO[bytes], asked: Callable[[], int]) -> Iterator[IO[str] | None]:
    """The lock of the task, when it is free; None if a stop was asked for before."""
    told = False
    while not asked():
        try:
            with hold(log, "worked on") as lock:
                yield lock
                return
        except Held as error:
            if not told:
                output.write(f"waiting: {error}\n".encode())
                output.flush()
                told = True
            time.sleep(_POLL_SECONDS)
    yield None


def _begin(
    task: Task, output: IO[bytes], lock: IO[str], variables: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **thread_variables(task.threads), **variables}
    return subprocess.Popen(
        # -P: this script's folder has no say in what is imported.
        [sys.executable, "-P", str(_CHILD), *task.command],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        cwd=task.folder,
        env=environment,
        # The lock is held until the process has ended, even if this one is killed before.
        pass_fds=[lock.fileno()],
        # Ctrl-C on a terminal goes to the sweep only, which then asks each worker once.
        start_new_session=True,
    )


def _wait(process: subprocess.Popen[bytes], asked: Callable[[], int]) -> int:
    sent = 0
    try:
        while True:
            number = asked()
            if number and number != sent:
                process.send_signal(number)
                sent = number
            try:
                return process.wait(timeout=_POLL_SECONDS)
            except subprocess.TimeoutExpired:
                continue
    finally:
        # If an engine breaks off by an exception: the process sees this and saves, like on SIGTERM.
        if process.stdin is not None:
            process.stdin.close()
        process.wait()


def _sentence(log: Path, start: int, code: int) -> str:
    """What a process that failed has said: its error, or the last line of its traceback."""
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(start, size - _TAIL_BYTES))
        text = file.read().decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines or [f"ended with code {code}"])[-1]
