"""SIGTERM and Ctrl-C: training stops after the batch at hand, and nothing is lost."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

from qtdog_tf.signals import handled_by


class Interrupted(Exception):
    """Training was asked to stop; its state is saved.

    Attributes:
        signal_number: of the signal that asked.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.signal_number = signal_number


class Interruption:
    """Whether somebody has asked to stop.

    Keras calls back between batches only, so a signal is noted and acted on there. A second one
    stops at once, as Python does.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None

    def check(self) -> None:
        """Raises `Interrupted` if a signal has come."""
        if self.signal_number is not None:
            raise Interrupted(self.signal_number)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Within this context signals are noted. Signals reach the main thread only."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        with handled_by(self._note):
            yield

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal_number is not None:
            raise KeyboardInterrupt
        self.signal_number = number
        print("\nstopping after this batch; once more stops at once", file=sys.stderr, flush=True)
