"""Keeps LiteRT's remarks from a user's terminal."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def without_info() -> Iterator[None]:
    """Holds stderr back while the block runs, then shows it without the lines that say INFO.

    LiteRT's C++ code says which delegate it has made, and no setting keeps it from doing so.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            held_back.seek(0)
            lines = held_back.read().splitlines(keepends=True)
            kept = b"".join(line for line in lines if not line.startswith(b"INFO: "))
            sys.stderr.write(kept.decode(errors="replace"))
