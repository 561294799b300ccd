"""Trains the same in several environments, and says in which the bits are the same.

    python -m tools.compare_environments --flagfile=configs/kill_study.flags --output=/tmp/bits

Takes every flag of tools.train. What is trained as the flags say is trained again, then on one
processor core, then without oneDNN's operators, then without op determinism; each time the logs and
the weights of every model are compared with the first. A checkpoint of one environment is refused
in another, see tools.train --resume_elsewhere.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
from absl import flags
from tqdm import tqdm

from qtdog_tf.errors import UserError
from qtdog_tf.evaluation.saved_model import load_saved_model
from qtdog_tf.files import write_json
from qtdog_tf.runs import versions
from qtdog_tf.tables import format_table
from tools import train  # noqa: F401  its flags
from tools._main import refuse_arguments, run_tool
from tools._run_digest import run_digests

FLAGS = flags.FLAGS
flags.DEFINE_string("report", "", "Write the figures to this JSON file too.")

# Name of an environment: variables, flags, processor cores (None: all that there are).
_ENVIRONMENTS: dict[str, tuple[dict[str, str], list[str], int | None]] = {
    "as it is": ({}, [], None),
    "once more": ({}, [], None),
    "one processor core": ({}, [], 1),
    "oneDNN off": ({"TF_ENABLE_ONEDNN_OPTS": "0"}, [], None),
    "--nodeterministic": ({}, ["--nodeterministic"], None),
}


def main(argv: list[str]) -> None:
    """Trains in each environment and prints what differs."""
    refuse_arguments(argv)
    output = Path(FLAGS.output)
    if output.exists() and any(output.iterdir()):
        raise UserError(f"{output} holds files: choose a new or an empty folder")
    output.mkdir(parents=True, exist_ok=True)
    folders = {}
    for number, name in enumerate(tqdm(_ENVIRONMENTS, desc="environments")):
        folders[name] = output / str(number)
        _train(name, folders[name])
    first, *others = folders
    rows = [_compare(name, folders[first], folders[name]) for name in others]
    header = ["environment", "files", "other bits", "weights differ by", "predictions differ by"]
    print(format_table(header, [_cells(row) for row in rows]))
    print("Largest differences of the last models, in parts of the largest value of their tensor.")
    if FLAGS.report:
        write_json(Path(FLAGS.report), {"environments": rows, "versions": versions()})


def _train(name: str, folder: Path) -> None:
    variables, extra, cores = _ENVIRONMENTS[name]
    own = ("output", "report", "flagfile")
    given = [FLAGS[flag].serialize() for flag in FLAGS if FLAGS[flag].present and flag not in own]
    # A flag that is given twice has its last value.
    command = [sys.executable, "-m", "tools.train", *given, *extra, f"--output={folder}"]
    with _cores(cores), open(f"{folder}.log", "w") as log:
        done = subprocess.run(command, env={**os.environ, **variables}, stdout=log, stderr=log)
    if done.returncode:
        raise UserError(f"training with {name} failed, see {folder}.log")


@contextmanager
def _cores(count: int | None) -> Iterator[None]:
    """Processes that are started inside have so many processor cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _compare(name: str, one: Path, other: Path) -> dict[str, object]:
    expected, found = run_digests(one), run_digests(other)
    weights, predictions = 0.0, 0.0
    for path in sorted(one.rglob("last.keras")):
        pair = load_saved_model(path), load_saved_model(other / path.relative_to(one))
        weights = max(weights, *map(_difference, *(model.get_weights() for model in pair)))
        predictions = max(predictions, _difference(*map(_predictions, pair)))
    return {
        "environment": name,
        "files": len(expected),
        "differing": sum(expected[file] != found.get(file) for file in expected),
        "weights": weights,
        "predictions": predictions,
    }


def _predictions(model: keras.Model) -> np.ndarray:
    pixels = np.random.default_rng(0).integers(0, 256, (64, *model.input_shape[1:]), np.uint8)
    return keras.ops.convert_to_numpy(keras.ops.softmax(model(pixels, training=False)))


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    if not one.size:
        return 0.0
    return float(np.abs(one - other).max() / max(np.abs(one).max(), np.finfo(np.float32).tiny))


def _cells(row: dict[str, object]) -> list[str]:
    numbers = [f"{row[key]:.1e}" if row[key] else "0" for key in ("weights", "predictions")]
    return [str(row["environment"]), str(row["files"]), str(row["differing"]), *numbers]


if __name__ == "__main__":
    run_tool(main)
