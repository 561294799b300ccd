r"""Compares the speed of .tflite files on this machine, one image at a time as on a phone.

  python -m tools.benchmark_tflite --files=float32.tflite,dynamic.tflite,int8.tflite --threads=1,2

All files are open in one process and are timed in turn, round by round, in an order that is random
in each round: a machine whose speed drifts slows them all. The ratio is that to the first file with
as many threads in the same round. Times are of the interpreter alone, without decoding of images.
"""

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from tqdm import tqdm

from qtdog_tf.data import emoji_styles_root
from qtdog_tf.errors import UserError
from qtdog_tf.export.image_files import list_images, read_images
from qtdog_tf.export.machine import describe_machine
from qtdog_tf.export.tflite.quiet import without_info
from qtdog_tf.export.tflite.runner import TFLiteClassifier, open_file
from qtdog_tf.export.timing import Spread, summarize, time_in_turn
from qtdog_tf.files import write_json
from qtdog_tf.tables import format_table
from tools._main import refuse_arguments, run_tool

INPUTS = ("random", "emoji_styles")
IMAGES = 16
# Load a core above which a machine counts as busy.
BUSY = 0.3

FLAGS = flags.FLAGS
flags.DEFINE_list("files", None, "The .tflite files; ratios are to the first.", required=True)
flags.DEFINE_list("threads", "1,2", "Numbers of threads of the interpreter.")
flags.DEFINE_integer("rounds", 15, "Rounds; each times every file once.", 1)
flags.DEFINE_float("round_seconds", 0.3, "How long to time a file in a round, seconds.", 0.0, 60.0)
flags.DEFINE_float("warm_up", 1.0, "How long to run each file before, seconds.", 0.0, 60.0)
flags.DEFINE_enum("input", INPUTS[0], INPUTS, "Random pixels, or drawings of the embedded data.")
flags.DEFINE_integer("seed", 0, "Chooses pixels and orders.")
flags.DEFINE_string("output", "", "JSON file for every time and a description of the machine.")


@dataclasses.dataclass(frozen=True)
class Figures:
    """What was measured of one file with one number of threads.

    Attributes:
        file: the path as it was given.
        threads: of the interpreter.
        milliseconds: for one image, one value a round.
        ratios: to the first file, one value a round; above 1 is slower.
    """

    file: str
    threads: int
    milliseconds: list[float]
    ratios: list[float]


def main(argv: list[str]) -> None:
    """Measures, prints the table, writes the figures."""
    refuse_arguments(argv)
    threads = thread_numbers(FLAGS.threads)
    if len(set(FLAGS.files)) < len(FLAGS.files):
        raise UserError(f"--files={','.join(FLAGS.files)} names a file twice")
    output = Path(FLAGS.output) if FLAGS.output else None
    if output and output.is_dir():
        raise UserError(f"--output={output} is a folder, the name of a file is needed")
    machine = describe_machine()  # its load is what others cause, before ours
    figures = measure(FLAGS.files, threads)
    print(f"{machine['cpu']}, {machine['cores']} cores; one image at a time, {FLAGS.rounds} rounds")
    print(table(figures))
    if machine["load"] > BUSY * machine["cores"]:
        print(f"note: other programs were running (load {machine['load']:.1f}): times are too long")
    if output:
        write_json(output, report(figures, machine))


def thread_numbers(values: list[str]) -> list[int]:
    """The numbers of threads to measure.

    Raises:
        UserError: if one is no positive integer, or there is none.
    """
    if not values or not all(value.isdecimal() and int(value) for value in values):
        raise UserError(f"--threads={','.join(values)} must be numbers from 1 on, as in 1,2")
    return list(dict.fromkeys(int(value) for value in values))


def measure(files: list[str], threads: list[int]) -> list[Figures]:
    """Times every file with every number of threads."""
    keys = list(itertools.product(threads, files))
    with without_info():
        calls = {(n, file): prepare(open_file(Path(file), n)) for n, file in keys}
    total = (FLAGS.rounds + 1) * len(keys)
    # disable=None: on a terminal only, where it is gone when the table comes.
    with tqdm(total=total, desc="timing", disable=None, leave=False) as bar:
        times = time_in_turn(
            calls,
            rounds=FLAGS.rounds,
            seconds=FLAGS.round_seconds,
            warm_up=FLAGS.warm_up,
            seed=FLAGS.seed,
            progress=bar.update,
        )
    figures = []
    for n, file in keys:
        pairs = zip(times[n, file], times[n, files[0]], strict=True)
        milliseconds = [1000 * seconds for seconds in times[n, file]]
        figures.append(Figures(file, n, milliseconds, [mine / first for mine, first in pairs]))
    return figures


def prepare(classifier: TFLiteClassifier) -> Callable[[], object]:
    """A function that runs the file on one image, on another at each call."""
    codes = classifier.input_codes(pixels(classifier.image_size))
    images: Iterator[np.ndarray] = itertools.cycle([image[None] for image in codes])
    return lambda: classifier.run(next(images))


def pixels(size: int) -> np.ndarray:
    """Images to run on, uint8 [n, size, size, 3]; equal for files of equal size."""
    random = np.random.default_rng(FLAGS.seed)
    if FLAGS.input == "random":
        return random.integers(0, 256, (IMAGES, size, size, 3), np.uint8)
    paths = list_images([str(emoji_styles_root())])
    chosen = random.choice(len(paths), IMAGES, replace=False)
    read = read_images([paths[index] for index in chosen], size)
    return np.stack([image.pixels for image in read if image.pixels is not None])


def table(figures: list[Figures]) -> str:
    """One row a file and number of threads."""
    rows = []
    for entry in figures:
        time, ratio = summarize(entry.milliseconds), summarize(entry.ratios)
        size = f"{Path(entry.file).stat().st_size / 1e6:.2f}"
        rows.append(
            [
                entry.file,
                size,
                str(entry.threads),
                f"{time.median:.3f}",
                quartiles(time),
                f"{ratio.median:.3f}",
                quartiles(ratio),
                f"{min(entry.ratios):.3f}-{max(entry.ratios):.3f}",
            ]
        )
    header = ["file", "MB", "threads", "ms/image", "25-75 %", "ratio", "25-75 %", "range"]
    return format_table(header, rows)


def quartiles(spread: Spread) -> str:
    """The range in which half of the rounds lie."""
    return f"{spread.low:.3f}-{spread.high:.3f}"


def report(figures: list[Figures], machine: dict[str, Any]) -> dict[str, Any]:
    """Everything, as plain values."""
    files = {
        file: {
            "bytes": Path(file).stat().st_size,
            "sha256": hashlib.sha256(Path(file).read_bytes()).hexdigest(),
        }
        for file in FLAGS.files
    }
    entries = [
        {
            **dataclasses.asdict(entry),
            "median_ms": summarize(entry.milliseconds).median,
            "median_ratio": summarize(entry.ratios).median,
        }
        for entry in figures
    ]
    return {
        "figures": entries,
        "files": files,
        "input": FLAGS.input,
        "machine": machine,
        "round_seconds": FLAGS.round_seconds,
        "seed": FLAGS.seed,
        "warm_up": FLAGS.warm_up,
    }


if __name__ == "__main__":
    run_tool(main)
