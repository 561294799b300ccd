"""Runs the real programs as a person does, in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def run_program(
    name: str, *arguments: str, env: dict[str, str] | None = None, **values: object
) -> subprocess.CompletedProcess[str]:
    """Runs `python -m tools.<name> --flag=value ...` from the repository's root."""
    flags = [f"--{flag}={value}" for flag, value in values.items()]
    return subprocess.run(
        [sys.executable, "-m", f"tools.{name}", *arguments, *flags],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **(env or {})},
    )


def assert_refused(done: subprocess.CompletedProcess[str], sentence: str) -> None:
    """Checks that the program ended with one sentence that says what is wrong."""
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    assert sentence in done.stderr
