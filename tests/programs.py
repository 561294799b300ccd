"""Runs the real programs as a person does, in a process of their own."""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import IO, NoReturn

REPOSITORY = Path(__file__).parents[1]
_SECONDS = 300

# A process that has imported what takes five seconds, and from which every program is forked.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["tensorflow", "keras", "tensorflow_model_optimization"])


def run_program(
    name: str, *arguments: str, env: dict[str, str] | None = None, **values: object
) -> subprocess.CompletedProcess[str]:
    """Runs `python -m tools.<name> --flag=value ...` from the repository's root.

    With `env` the interpreter is started anew, since what a library reads from the environment it
    may read when it is imported.
    """
    flags = [f"--{flag}={value}" for flag, value in values.items()]
    command = [sys.executable, "-m", f"tools.{name}", *arguments, *flags]
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
        code = _fork(command[2:], output, errors)
        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(command, code, output.read(), errors.read())


def _fork(command: list[str], output: IO[str], errors: IO[str]) -> int:
    # Files cross to the other process by number, as they do for a program that a shell starts.
    files = [multiprocessing.reduction.DupFd(file.fileno()) for file in (output, errors)]
    process = SERVER.Process(target=_be_program, args=(command, files, dict(os.environ)))
    process.start()
    process.join(_SECONDS)
    if process.exitcode is None:
        process.kill()
        raise subprocess.TimeoutExpired(command, _SECONDS)
    return process.exitcode


def _be_program(command: list[str], files: list, environment: dict[str, str]) -> NoReturn:
    """What `python -m` does, but for graph optimization, which takes longer here than it saves."""
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    for number, file in enumerate(files, 1):
        os.dup2(file.detach(), number)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", closefd=False, buffering=1)
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
