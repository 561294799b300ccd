"""Runs the real programs as a person does, in a process of their own."""

import contextlib
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import IO, Any, NoReturn

REPOSITORY = Path(__file__).parents[1]
_SECONDS = 300

# A process that has imported what takes eight seconds, and from which every program is forked. No
# tools: they define flags.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    ["qtdog_tf", "qtdog_tf.training.trial", "qtdog_tf.evaluation", "qtdog_tf.export"]
)


def run_program(
    name: str, *arguments: str, env: dict[str, str] | None = None, **values: object
) -> subprocess.CompletedProcess[str]:
    """Runs `python -m tools.<name> --flag=value ...` from the repository's root.

    With `env` the interpreter is started anew, since what a library reads from the environment it
    may read when it is imported.
    """
    command = [sys.executable, "-m", *_command(name, *arguments, **values)]
    if env is not None:
        return subprocess.run(
            command,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            env={**os.environ, **env},
        )
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = _fork(command[2:], output, errors)
        process.join(_SECONDS)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(command, _SECONDS)
        output.seek(0)
        errors.seek(0)
        code = process.exitcode
        return subprocess.CompletedProcess(command, code, output.read(), errors.read())


@contextlib.contextmanager
def started_program(
    name: str, errors: IO[str], *arguments: str, **values: object
) -> Iterator[BaseProcess]:
    """A program at work, to be disturbed; its output goes to `errors` too."""
    process = _fork(_command(name, *arguments, **values), errors, errors)
    try:
        yield process
    finally:
        process.kill()
        process.join()


def wait_for(condition: Callable[[], bool], process: BaseProcess) -> None:
    """Waits until it is so, or the process has ended."""
    deadline = time.monotonic() + _SECONDS
    while not condition() and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.02)


def _command(name: str, *arguments: str, **values: object) -> list[str]:
    flags = [f"--{flag}={value}" for flag, value in values.items()]
    return [f"tools.{name}", *arguments, *flags]


def _fork(command: list[str], output: IO[str], errors: IO[str]) -> BaseProcess:
    files = [sendable(file) for file in (output, errors)]
    process = SERVER.Process(target=_be_program, args=(command, files, dict(os.environ)))
    process.start()
    return process


def sendable(file: IO) -> Any:
    """What crosses to a forked process: the file's number, as for a program of a shell."""
    return multiprocessing.reduction.DupFd(file.fileno())


def redirect(output: Any, errors: Any) -> None:
    """In a forked process: writes to these from now on."""
    for number, file in enumerate((output, errors), 1):
        os.dup2(file.detach(), number)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", closefd=False, buffering=1)


def _be_program(command: list[str], files: list, environment: dict[str, str]) -> NoReturn:
    """What `python -m` does, but for graph optimization, which takes longer here than it saves."""
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    redirect(*files)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(REPOSITORY)
    sys.argv = command
    code: object = 0
    try:
        runpy.run_module(command[0], run_name="__main__", alter_sys=True)
    except SystemExit as exit_:
        code = exit_.code
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
    sys.exit(code)


def assert_refused(done: subprocess.CompletedProcess[str], sentence: str) -> None:
    """Checks that the program ended with one sentence that says what is wrong."""
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    assert sentence in done.stderr
