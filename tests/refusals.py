"""Asks a program with what sentence it refuses, in one process for many questions."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator

from tests.programs import REPOSITORY

# Absl's flags are global, and other tests of this process may load another program.
_PROGRAM = """
import importlib, json, sys
from absl import flags
from qtdog_tf.errors import UserError
program = importlib.import_module("tools." + sys.argv[1])
for line in sys.stdin:
    flags.FLAGS.unparse_flags()
    try:
        flags.FLAGS([sys.argv[1], *json.loads(line)])
        program.main([sys.argv[1]])
        answer = "not refused"
    except (UserError, flags.Error) as error:
        answer = str(error)
    print(json.dumps(answer), flush=True)
"""


@contextlib.contextmanager
def refusals_of(name: str) -> Iterator[Callable[..., str]]:
    """Yields a function from values of flags to the sentence that tools.<name> refuses them with.

    Starting TensorFlow for each of them would take minutes.
    """
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, name],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:

        def ask(**values: object) -> str:
            assert process.stdin and process.stdout
            arguments = [f"--{flag}={value}" for flag, value in values.items()]
            print(json.dumps(arguments), file=process.stdin, flush=True)
            return json.loads(process.stdout.readline())

        yield ask
        process.communicate()
