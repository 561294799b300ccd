"""Reads the reports that tools.export_tflite writes beside its files. Start from `read_exports`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from qtdog_tf.report.shapes import (
    COUNT,
    FLAG,
    NUMBER,
    NUMBER_OR_NONE,
    TEXT,
    Each,
    OrNone,
    read_checked,
)

_REMEDY = "run tools.export_tflite again"
_SHAPE = {
    "passed": FLAG,
    "settings": {"kind": TEXT},
    "checks": [{"name": TEXT, "passed": FLAG, "detail": TEXT}],
    "domains": [
        {
            "domain": TEXT,
            "role": TEXT,
            "images": COUNT,
            **dict.fromkeys(("same_class", "model_accuracy", "file_accuracy"), NUMBER),
            **dict.fromkeys(("mean_difference", "max_difference"), NUMBER),
        }
    ],
    "sizes": {
        "bits": COUNT,
        **dict.fromkeys(("bytes", "deflated_bytes", "float_bytes", "packed_bytes"), NUMBER),
        "entropy_bits": NUMBER_OR_NONE,
    },
    "latency_ms": OrNone(Each(NUMBER)),
    "run?": TEXT,
    "model?": TEXT,
}
Export = Mapping[str, Any]


def read_exports(paths: Iterable[str | Path]) -> dict[str, Export]:
    """Reads reports of exports.

    Args:
        paths: the files `<name>.report.json`.

    Returns:
        By name of the file, the reports in the order given.

    Raises:
        UserError: if one cannot be read or is no such report, naming what is wrong with it.
    """
    found: dict[str, Export] = {}
    for path in (Path(path).expanduser() for path in paths):
        name = path.name.removesuffix(".json").removesuffix(".report")
        # Reports of one name, in different folders, are told apart by their folders.
        name = f"{path.parent.name}/{name}" if name in found else name
        found[name if name not in found else str(path)] = read_checked(path, _SHAPE, _REMEDY)
    return found
