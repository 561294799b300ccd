"""Runs the fuzzer's child and watches its memory and time. Start from `try_numbers`."""

import collections
import dataclasses
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

# The readers load TensorFlow, which takes half a gigabyte before the first file.
_START_SECONDS = 300.0
_LOOK_SECONDS = 0.1
# Address space cannot be limited: TensorFlow reserves far more than it uses.
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclasses.dataclass
class Outcome:
    """What came of the files of one reader.

    Attributes:
        executions: how many files were tried.
        refusals: how many were refused by a sentence.
        acceptances: how many were opened.
        findings: what must not be, with the numbers of the files that did it.
    """

    executions: int = 0
    refusals: int = 0
    acceptances: int = 0
    findings: dict[str, list[int]] = dataclasses.field(
        default_factory=lambda: collections.defaultdict(list)
    )

    def add(self, number: int, what: str) -> None:
        """Counts one file."""
        self.executions += 1
        self.refusals += what == "refused"
        self.acceptances += what == "accepted"
        if what not in ("refused", "accepted"):
            self.findings[what].append(number)


def try_numbers(
    reader: str,
    corpus: Path,
    seed: int,
    stop: int,
    *,
    seconds: float,
    memory_bytes: int,
    progress: Callable[[], object] = lambda: None,
) -> Outcome:
    """Tries the files 0 to `stop`; a child that dies is replaced by another for the files behind.

    Args:
        reader: one of `READERS`.
        corpus: folder with the files to begin with.
        seed: chooses the damage.
        stop: how many files.
        seconds: what one file may take.
        memory_bytes: by how much one may make the child grow.
        progress: called after each file.
    """
    outcome = Outcome()
    start = 0

    def take(number: int, what: str) -> None:
        nonlocal start
        outcome.add(number, what)
        start = number + 1
        progress()

    while start < stop:
        command = [sys.executable, "-m", "tools._fuzz_child", reader, str(corpus)]
        with subprocess.Popen(
            [*command, str(seed), str(start), str(stop)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as child:
            ended = _watch(child, take, seconds, memory_bytes)
        if start < stop:
            take(start, ended)
    return outcome


def _watch(
    child: subprocess.Popen[str],
    take: Callable[[int, str], None],
    seconds: float,
    memory_bytes: int,
) -> str:
    """Hands on the child's lines until it ends; returns how it ended."""
    lines: queue.Queue[str | None] = queue.Queue()
    assert child.stdout is not None
    threading.Thread(target=_read_lines, args=(child.stdout, lines), daemon=True).start()
    limit, deadline = 0, time.monotonic() + _START_SECONDS
    while True:
        try:
            line = lines.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            line = ""
        if line is None:
            break
        if line == "ready":
            limit = _memory(child.pid) + memory_bytes
        elif line:
            number, _, what = line.partition("\t")
            take(int(number), what)
        if line:
            deadline = time.monotonic() + seconds
            continue
        late, large = time.monotonic() > deadline, limit and _memory(child.pid) > limit
        if late or large:
            child.kill()
            child.wait()
            return "takes too long" if late else "takes too much memory"
    code = child.wait()
    return f"ends the process by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _read_lines(stream: IO[str], lines: "queue.Queue[str | None]") -> None:
    for line in stream:
        lines.put(line.rstrip("\n"))
    lines.put(None)


def _memory(pid: int) -> int:
    """Resident bytes of a process, 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0
