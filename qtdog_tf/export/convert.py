"""Runs TensorFlow's converter in a process of its own.

It writes pages to the terminal, keeps its memory, and a fault in it ends the process: in a child,
all of that goes to a log file, and the parent says in one sentence what went wrong.

Start with `convert`. The child is `_convert_child.py`.
"""

import contextlib
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from qtdog_tf.errors import UserError
from qtdog_tf.files import replacing

PLAIN, INTEGER, HALF = "plain", "integer", "half"
_CHILD = Path(__file__).with_name("_convert_child.py")
_BYTES_PER_MAXRSS = 1 if sys.platform == "darwin" else 1024


@dataclasses.dataclass(frozen=True)
class Conversion:
    """How a conversion went.

    Attributes:
        seconds: wall time.
        peak_memory: of the converter's process, bytes.
    """

    seconds: float
    peak_memory: int


def convert(
    saved_model: Path, output: Path, log: Path, *, numbers: str, input_type: str = "float32"
) -> Conversion:
    """Converts a SavedModel to a .tflite file.

    Args:
        saved_model: what `save_for_conversion` wrote.
        output: the file to write, in one go.
        log: what the converter says goes there.
        numbers: "plain" (float32), "half" (weights in float16), or "integer" (by the fake-quant
            operations in the model).
        input_type: of integer files: "uint8", "int8" or "float32"; the output has the same.

    Raises:
        UserError: if the conversion fails, with the layer's name where the converter gives one.
    """
    output, log = Path(output), Path(log)
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with replacing(output) as temporary:
        options = {
            "optimize": numbers != PLAIN,
            "half": numbers == HALF,
            "ends": input_type if numbers == INTEGER else None,
        }
        arguments = [str(saved_model), str(temporary), json.dumps(options)]
        with log.open("wb") as file:
            status, peak_memory = run_child(arguments, file)
        if status != 0 or temporary.stat().st_size == 0:
            raise UserError(_why_failed(status, log))
    return Conversion(time.monotonic() - began, peak_memory)


def run_child(arguments: list[str], log: IO[bytes]) -> tuple[int, int]:
    """Runs `_convert_child.py` to its end.

    Returns:
        Its exit status, which is minus a signal's number where one has ended it, and its peak
        memory in bytes.
    """
    process = subprocess.Popen(
        [sys.executable, "-P", str(_CHILD), *arguments],
        stdout=log,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0"},
    )
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:  # Ctrl-C too: no converter is left behind.
        process.kill()
        with contextlib.suppress(ChildProcessError):
            process.wait()
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss * _BYTES_PER_MAXRSS


def _why_failed(status: int, log: Path) -> str:
    text = log.read_text(encoding="utf-8", errors="replace")
    if status == -signal.SIGKILL:
        return (
            f"the converter was killed, most likely for want of memory (see {log}): close other "
            "programs, or export the members of the ensemble one by one"
        )
    if status < 0:
        return f"the converter was ended by {signal.Signals(-status).name}; see {log}"
    errors = re.findall(r"error: (.+)", text)
    reason = errors[-1] if errors else text.strip().rpartition("\n")[2]
    # The scope that `execute.run` puts around an operation: "head/Conv2D@...".
    layer = re.search(r'fused\["\w+:", "([^"/@]+)/', text)
    where = f" at layer {layer[1]}" if layer else ""
    return f"the converter failed{where} ({reason.strip()[:200]}); all that it said is in {log}"
