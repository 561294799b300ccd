"""What the bits of a computation depend on besides the program's own settings.

The same program gives other last bits on another processor, with another number of threads or with
oneDNN switched otherwise. A checkpoint records these, so that going on under others is a decision.
"""

import os
import platform
from importlib import metadata
from pathlib import Path

import tensorflow as tf

_PACKAGES = ("tensorflow", "keras", "numpy")
_VARIABLES = ("TF_ENABLE_ONEDNN_OPTS", "TF_XLA_FLAGS", "XLA_FLAGS", "ONEDNN_MAX_CPU_ISA")


def numeric_environment(replicas: int = 1) -> dict[str, str]:
    """Processor, accelerators, threads, oneDNN's switches and versions, as text by name.

    Args:
        replicas: devices that share a batch; recorded if they are several.
    """
    threads = tf.config.threading
    found = {
        "processor": _processor(),
        "accelerators": ", ".join(_accelerators()) or "none",
        "threads in an operator": _threads(
            threads.get_intra_op_parallelism_threads(), "TF_NUM_INTRAOP_THREADS"
        ),
        "threads over operators": _threads(
            threads.get_inter_op_parallelism_threads(), "TF_NUM_INTEROP_THREADS"
        ),
    }
    found.update({name: os.environ.get(name, "not set") for name in _VARIABLES})
    found.update({package: metadata.version(package) for package in _PACKAGES})
    if replicas > 1:
        found["devices that share a batch"] = str(replicas)
    return found


def _threads(chosen: int, variable: str) -> str:
    """What TensorFlow uses: 0 stands for the variable, or as many as there are processors."""
    from_variable = os.environ.get(variable, "")
    by_default = int(from_variable) if from_variable.isdecimal() else 0
    return str(chosen or by_default or len(os.sched_getaffinity(0)))


def differences(there: dict[str, str], here: dict[str, str]) -> list[str]:
    """What is not the same, as "threads in an operator: 2 there, 1 here"."""
    names = sorted(there.keys() | here.keys())
    return [
        f"{name}: {there.get(name, 'not recorded')} there, {here.get(name, 'not recorded')} here"
        for name in names
        if there.get(name) != here.get(name)
    ]


def _processor() -> str:
    """The model's name where Linux tells it; the instruction sets that oneDNN chooses by go too."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    values = dict(line.split(":", 1) for line in lines if ":" in line)
    fields = {name.strip(): value.strip() for name, value in values.items()}
    flags = set(fields.get("flags", "").split())
    chosen_by = sorted(flag for flag in flags if flag.startswith(("avx", "amx", "fma")))
    return f"{fields.get('model name', platform.machine())} ({' '.join(chosen_by)})"


def _accelerators() -> list[str]:
    devices = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(device) for device in devices]
    return [detail.get("device_name", "GPU") for detail in details]
