"""SIGTERM and Ctrl-C, handled for a while. Start from `handled_by`."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

_STOPPING = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Within this context the signals that ask a program to stop go to `handler`.

    Call it in the main thread, which alone may set handlers.
    """
    before = {number: signal.signal(number, handler) for number in _STOPPING}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
