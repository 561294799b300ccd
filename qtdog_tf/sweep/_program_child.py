"""Runs a program as `python -m` does, and ends it, its work saved, when its parent has ended.

Called with the program's module and flags. Its standard input is a pipe that nobody writes to and
whose other end the parent holds, so the end of the file is the end of the parent, even by SIGKILL.
Imports nothing of this package.
"""

import os
import runpy
import signal
import sys
import threading
from pathlib import Path


def _end_with_parent() -> None:
    os.read(0, 1)
    # As SIGTERM from anybody: training saves its state, everything else ends at once.
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.path.insert(0, str(Path.cwd()))
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
