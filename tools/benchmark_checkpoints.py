"""Times checkpoints: how large, how long to write and read, and what part of training that is.

    python -m tools.benchmark_checkpoints --cases=efficientnet_lite0:64:16,resnet50:224:8

A case is as for tools.benchmark_memory. The full state is saved with the weights that source
validation would have selected and, by --averages, the segments of SWAD; as in the worst case, every
checkpoint selects new weights. Steps and checkpoints are timed in turn, the overhead is at the
default interval, one checkpoint every eval_every steps.
"""

import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np
from absl import flags

from qtdog_tf.environment import numeric_environment
from qtdog_tf.quantization import start_quantization
from qtdog_tf.records import OUT, RAW, Evaluation, Score
from qtdog_tf.tables import format_table
from qtdog_tf.training.model import build_training_model
from qtdog_tf.training.phase import PhaseFolder
from qtdog_tf.training.selection import KeepSelected
from qtdog_tf.training.settings import TrainSettings
from qtdog_tf.training.state import metric_variables, unwrap_optimizer
from tools._main import refuse_arguments, run_tool
from tools._training_cases import CLASSES, DOMAINS, parse_case, random_batches

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "cases", "efficientnet_lite0:64:16,resnet50:224:8", "Each a backbone:pixels:images of a domain."
)
flags.DEFINE_list("averages", "sma", "Averages that are kept: sma, swa, swad.")
flags.DEFINE_integer("rounds", 5, "Rounds of steps and one checkpoint.", lower_bound=1)

_STEPS = 2


def main(argv: list[str]) -> None:
    """Measures each case and prints the table."""
    refuse_arguments(argv)
    rows = []
    spawn = multiprocessing.get_context("spawn")
    for text in FLAGS.cases:
        case = parse_case(text)
        with spawn.Pool(1) as pool:
            step, save, load, size = pool.apply(
                measure, (*case, tuple(FLAGS.averages), FLAGS.rounds)
            )
        every = TrainSettings().eval_every
        rows.append(
            [
                case[0],
                f"{size / 1e6:,.0f}",
                f"{np.median(step):.3f}",
                f"{np.median(save):.2f} ({min(save):.2f}-{max(save):.2f})",
                f"{load:.2f}",
                f"{100 * np.median(save) / (every * np.median(step)):.2f}",
            ]
        )
    header = ["backbone", "MB on disk", "s/step", "s to write", "s to read", "overhead %"]
    print(format_table(header, rows))


def measure(
    backbone: str, pixels: int, images: int, averages: tuple[str, ...], rounds: int
) -> tuple[list[float], list[float], float, int]:
    """Seconds of steps, of writing, of reading; bytes that the folder has at the end."""
    settings = TrainSettings(
        backbone=backbone,
        weights="none",
        image_size=pixels,
        images_per_domain=images,
        averages=averages,
    )
    model = build_training_model(settings, CLASSES, bits=7, seed=0, num_domains=DOMAINS)
    start_quantization(model)
    data = random_batches(pixels, images, _STEPS)
    model.fit(data, verbose=0, shuffle=False)
    kept = unwrap_optimizer(model).averages
    keepers = [KeepSelected(kind) for kind in (RAW, *averages)]
    steps, saves = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = PhaseFolder(Path(name), numeric_environment())
        for _ in range(rounds):
            began = time.perf_counter()
            model.fit(data, verbose=0, shuffle=False)
            steps.append((time.perf_counter() - began) / _STEPS)
            done = int(model.optimizer.iterations.numpy())
            for keeper in keepers:
                # Rising accuracy: each evaluation is the best so far.
                keeper(scripted_evaluation(done, keeper.weights), model)
            for average in kept:
                average.evaluated(scripted_evaluation(done, RAW))
            began = time.perf_counter()
            sums = [variable.numpy() for variable in metric_variables(model)]
            folder.save(model, keepers, kept, metrics=sums, told=done, pending=False)
            saves.append(time.perf_counter() - began)
        size = sum(path.stat().st_size for path in folder.checkpoints.folder.iterdir())
        began = time.perf_counter()
        folder.load()
        return steps, saves, time.perf_counter() - began, size


def scripted_evaluation(step: int, weights: str) -> Evaluation:
    """One that is better than any before it."""
    score = Score(accuracy=1 - 1 / (1 + step), loss=1 / (1 + step), images=1)
    return Evaluation(step, weights, True, {"source": {OUT: score}}, {})


if __name__ == "__main__":
    run_tool(main)
