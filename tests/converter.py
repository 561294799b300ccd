"""Forks the converter from the server of `tests/programs.py`, where TensorFlow is there already.

To import it takes five seconds of processor time, and there are dozens of small files to convert.
Programs that a test runs start theirs as they do for a person.
"""

import resource
from multiprocessing.connection import Connection
from typing import IO

from qtdog_tf.export import _convert_child
from tests.programs import SERVER, redirect, sendable


def fork_converter(arguments: list[str], log: IO[bytes]) -> tuple[int, int]:
    """Does what `qtdog_tf.export.convert.run_child` does."""
    receiver, sender = SERVER.Pipe(duplex=False)
    files = [sendable(log), sendable(log)]
    process = SERVER.Process(target=_be_converter, args=(arguments, files, sender))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode, receiver.recv() if receiver.poll() else 0


def _be_converter(arguments: list[str], files: list, sender: Connection) -> None:
    redirect(*files)
    _convert_child.main(*arguments)
    sender.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
