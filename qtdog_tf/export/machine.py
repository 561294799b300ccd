"""What a measured time depends on besides the file: the machine, and what else it is doing."""

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from qtdog_tf.runs import versions


def describe_machine() -> dict[str, Any]:
    """Processor, system, load and versions, as plain values."""
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "load": os.getloadavg()[0],
        "versions": versions() | {"ai-edge-litert": metadata.version("ai-edge-litert")},
    }


def cpu_model() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
