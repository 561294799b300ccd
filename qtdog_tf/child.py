"""Lets a library in C open a file on trial, in a process of its own that may crash.

Start from `what_is_wrong`.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

# The programs, each of which says what it opens.
HDF5_CHILD = Path(__file__).with_name("_hdf5_child.py")
LITERT_CHILD = Path(__file__).parent / "export" / "tflite" / "_litert_child.py"

# A processor that others use too may take much longer than the child's own limit of CPU time.
_SECONDS = 600


def what_is_wrong(program: Path, *arguments: str, contents: bytes | None = None) -> str | None:
    """Runs a small program that opens a file and prints why it is to be refused.

    Args:
        program: a Python file that imports nothing of this package.
        arguments: its arguments.
        contents: what to hand it on standard input.

    Returns:
        The reason to refuse the file, or None.
    """
    # -I: neither the folder that the user stands in nor PYTHONPATH chooses what is imported.
    command = [sys.executable, "-I", str(program), *arguments]
    try:
        done = subprocess.run(
            command,
            input=contents if contents is not None else b"",
            capture_output=True,
            timeout=_SECONDS,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
    except subprocess.TimeoutExpired:
        return f"opening it takes more than {_SECONDS} seconds"
    if done.returncode < 0:
        return f"opening it ends the process by {signal.Signals(-done.returncode).name}"
    lines = done.stdout.decode(errors="replace").strip().splitlines()
    if lines:
        return lines[-1]
    if done.returncode:
        errors = done.stderr.decode(errors="replace").strip().splitlines()
        return errors[-1] if errors else f"opening it ends with code {done.returncode}"
    return None
