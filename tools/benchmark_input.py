r"""Measures the input pipeline at DomainNet's size, beside a PyTorch DataLoader on the same files.

  python -m tools.benchmark_input --folder=/var/tmp/trees
  python -m tools.benchmark_input --folder=/var/tmp/trees --python=.venv-torch/bin/python

makes folders of small JPEGs like DomainNet's in --folder (600,000 files of a kilobyte, 3 GB of
disk; the next call finds them there) and measures: the time to start and the memory by number of
images; the check of every image; images a second; and whether augmentation has the same
distribution. PyTorch needs an environment of its own:

  python -m venv .venv-torch && .venv-torch/bin/pip install torch torchvision

All contenders take turns, round by round, each in a process of its own. On a machine that others
use, compare processor time for each image: more processes get a larger share of the wall clock.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import flags

from qtdog_tf.data.catalog import DOMAIN_NET
from qtdog_tf.errors import UserError
from qtdog_tf.files import read_json, write_json
from qtdog_tf.runs import versions
from tools import _input_measures as measures
from tools import _input_tables as tables
from tools._image_tree import make_tree
from tools._input_statistics import compare, probe_picture, read_results
from tools._main import refuse_arguments, run_tool
from tools._torch_program import INSTALL, ask_torch

MEASURES = ("memory", "check", "rate", "statistics")
# Files of a kilobyte, which cost little to decode; and of the size of DomainNet's, 34 kilobytes.
TINY, PHOTO = (32, 32), (375, 500)
PHOTOS = 6_000
# Of the picture whose augmentations are compared, and of the results, pixels.
PROBE, RESULT = 160, 64

FLAGS = flags.FLAGS
flags.DEFINE_list("measure", ",".join(MEASURES), f"What to measure, of {', '.join(MEASURES)}.")
flags.DEFINE_string("folder", None, "Where the folders of images are made and kept.", required=True)
flags.DEFINE_list("counts", "60000,600000", "Numbers of images for memory and check, rising.")
flags.DEFINE_list("sizes", "224,64", "Edges of the images in a batch, pixels.")
flags.DEFINE_integer("images", 32, "Images of each of five source domains in a batch.", 1)
flags.DEFINE_integer("steps", 500, "Batches of --memory_size pixels before memory is read.", 1)
flags.DEFINE_integer("memory_size", 64, "Edge of the images while memory is measured, pixels.", 8)
flags.DEFINE_integer("batches", 12, "Batches that are timed in a round.", 1)
flags.DEFINE_integer("rounds", 3, "Rounds; each times every contender once.", 1)
flags.DEFINE_list("workers", "1,2,8", "PyTorch: processes for each domain; DomainBed has 8.")
flags.DEFINE_integer("augmentations", 4_000, "Of the same picture, in each implementation.", 100)
flags.DEFINE_string("python", "", "The Python that has torch; without, PyTorch is left out.")
flags.DEFINE_string("json", "", "Add the figures of this run to this file.")


def main(argv: list[str]) -> None:
    """Measures, prints tables, adds the figures to the file."""
    refuse_arguments(argv)
    for name in FLAGS.measure:
        if name not in MEASURES:
            raise UserError(f"cannot measure {name!r}: choose from {', '.join(MEASURES)}")
    counts, sizes, workers = (_numbers(name) for name in ("counts", "sizes", "workers"))
    if FLAGS.python:
        ask_torch(FLAGS.python, do="nothing")
    else:
        print(f"without PyTorch: `{INSTALL}`, then add --python=.venv-torch/bin/python")
    figures: dict[str, Any] = {
        "began": time.strftime("%Y-%m-%d %H:%M"),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "versions": versions(),
        "flags": {
            flag.name: flag.value
            for flag in FLAGS.get_key_flags_for_module(sys.argv[0])
            # Where things are on this machine is nobody's business.
            if flag.name not in ("folder", "python", "json")
        },
    }
    if "memory" in FLAGS.measure:
        figures["memory"] = report_memory(counts)
    if "check" in FLAGS.measure:
        figures["check"] = report_check(counts)
    if "rate" in FLAGS.measure:
        trees = {"photos": _tree("photos", PHOTOS, PHOTO), "tiny": _tiny(counts[0])}
        figures["rate"] = [
            report_rate(name, tree, size, workers) for name, tree in trees.items() for size in sizes
        ]
    if "statistics" in FLAGS.measure and FLAGS.python:
        figures["statistics"] = report_statistics()
    figures["load_after"] = os.getloadavg()[0]
    if FLAGS.json:
        path = Path(FLAGS.json)
        runs = read_json(path)["runs"] if path.exists() else []
        write_json(path, {"runs": [*runs, figures]})


def report_memory(counts: Sequence[int]) -> dict[int, Any]:
    """The time to start and the memory by number of images; prints and returns the figures."""
    arguments = FLAGS.memory_size, FLAGS.images, FLAGS.steps
    found = {
        count: measures.in_new_process(measures.start_and_memory, str(_tiny(count)), *arguments)
        for count in counts
    }
    print(f"\nstart and memory, {FLAGS.images} images of {FLAGS.memory_size} px a domain")
    print(tables.memory_table(found))
    return found


def report_check(counts: Sequence[int]) -> dict[int, Any]:
    """The check of every image; prints and returns the figures."""
    found = {n: measures.in_new_process(measures.check, str(_tiny(n))) for n in counts}
    print("\n" + tables.check_table(found))
    return found


def report_rate(name: str, tree: Path, size: int, workers: Sequence[int]) -> dict[str, Any]:
    """Images a second of every contender, in turn; prints and returns the figures."""
    rounds: dict[str, list[dict[str, float]]] = {}
    for _ in range(FLAGS.rounds):
        for contender, values in _one_round(tree, size, workers):
            rounds.setdefault(contender, []).append(values)
    best = {"fastest": tables.fastest(rounds), "most_frugal": tables.most_frugal(rounds)}
    print(
        f"\n{name}, {size} px, by images/s against {best['fastest']}, by processor time against "
        f"{best['most_frugal']}; medians (least - most) over rounds"
    )
    print(tables.rate_table(rounds))
    return {"files": name, "size": size, **best, "rounds": rounds}


def report_statistics() -> dict[str, Any]:
    """Whether augmentation has the same distribution; prints and returns the figures."""
    picture, n = probe_picture(PROBE), FLAGS.augmentations
    ours = measures.augmented(picture, RESULT, n, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        file, output = Path(folder) / "picture.png", Path(folder) / "results.npy"
        file.write_bytes(tf.io.encode_png(picture).numpy())
        order = {"picture": str(file), "output": str(output), "size": RESULT, "n": n, "seed": 1}
        ask_torch(FLAGS.python, do="augment", **order)
        theirs = np.load(output, allow_pickle=False)
    found = compare(read_results(ours), read_results(theirs))
    print(f"\n{n:,} augmentations of one picture in each implementation")
    print(tables.statistics_table(found))
    return {row.name: row._asdict() for row in found}


def _one_round(
    tree: Path, size: int, workers: Sequence[int]
) -> Iterator[tuple[str, dict[str, float]]]:
    for name, normalized in (("this package, uint8", False), ("this package, normalized", True)):
        yield (
            name,
            measures.in_new_process(
                measures.rate, str(tree), size, FLAGS.images, FLAGS.batches, 4, normalized
            ),
        )
    for count in workers if FLAGS.python else ():
        yield (
            f"{tables.TORCH}, {count} x 5 processes",
            ask_torch(
                FLAGS.python,
                do="rate",
                root=str(tree),
                size=size,
                images=FLAGS.images,
                batches=FLAGS.batches,
                # Each worker is two batches ahead when the clock starts, and when it stops.
                warm_up=2 * count,
                workers=count,
                domains=DOMAIN_NET.domains[: measures.SOURCES],
            ),
        )


def _numbers(name: str) -> list[int]:
    """The whole numbers of a flag, at least one, above 0."""
    texts = FLAGS[name].value
    if not texts or not all(text.strip().isdecimal() and int(text) for text in texts):
        raise UserError(f"--{name} takes whole numbers above 0; received {','.join(texts)!r}")
    return [int(text) for text in texts]


def _tiny(images: int) -> Path:
    return _tree(f"tiny{images}", images, TINY)


def _tree(name: str, images: int, shape: tuple[int, int]) -> Path:
    root = Path(FLAGS.folder) / name
    if not root.exists():
        print(f"making {images:,} images in {root} ...", file=sys.stderr)
    return make_tree(root, images, *shape)


if __name__ == "__main__":
    run_tool(main)
