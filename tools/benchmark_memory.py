"""Compares the memory that training is predicted to take with the peak that it does take.

    python -m tools.benchmark_memory --cases=efficientnet_lite0:64:16,resnet50:224:8

A case is a backbone, the edge of its images in pixels, and the images of each of three domains in
a batch. Each is trained for some steps, float and quantized, on random pixels in a process of its
own.
"""

import multiprocessing
import resource

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from qtdog_tf.errors import UserError
from qtdog_tf.quantization import start_quantization
from qtdog_tf.tables import format_table
from qtdog_tf.training.memory import MEBIBYTE, predict_memory
from qtdog_tf.training.model import build_training_model
from qtdog_tf.training.settings import TrainSettings
from tools._main import refuse_arguments, run_tool

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "cases",
    "tiny:16:4,efficientnet_lite0:64:16,efficientnet_lite0:128:16,resnet50:112:16,resnet50:224:8",
    "Each a backbone:pixels:images of a domain.",
)
flags.DEFINE_integer("steps", 3, "Steps before and after quantization starts.", lower_bound=1)

_DOMAINS, _CLASSES = 3, 11


def main(argv: list[str]) -> None:
    """Measures each case and prints the table."""
    refuse_arguments(argv)
    rows = []
    spawn = multiprocessing.get_context("spawn")
    for text in FLAGS.cases:
        case = parse_case(text)
        with spawn.Pool(1) as pool:
            predicted, peak = pool.apply(measure, (*case, FLAGS.steps))
        shown = [f"{predicted / MEBIBYTE:,.0f}", f"{peak / MEBIBYTE:,.0f}"]
        rows.append(
            [case[0], str(case[1]), str(_DOMAINS * case[2]), *shown, f"{predicted / peak:.2f}"]
        )
    header = ["backbone", "pixels", "images", "predicted MiB", "peak MiB", "predicted / peak"]
    print(format_table(header, rows))


def parse_case(text: str) -> tuple[str, int, int]:
    """Backbone, pixels and images of a domain.

    Raises:
        UserError: if it is not three parts, the last two whole numbers.
    """
    parts = text.split(":")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts[1:]):
        raise UserError(f"a case is backbone:pixels:images, resnet50:224:8; received {text!r}")
    return parts[0], int(parts[1]), int(parts[2])


def measure(backbone: str, pixels: int, images: int, steps: int) -> tuple[int, int]:
    """Trains; returns the bytes predicted, and the peak of resident memory."""
    settings = TrainSettings(
        backbone=backbone, weights="none", image_size=pixels, images_per_domain=images
    )
    model: keras.Model = build_training_model(
        settings, _CLASSES, bits=7, seed=0, num_domains=_DOMAINS
    )
    need = predict_memory(model, settings, _DOMAINS, images=0)
    random = np.random.default_rng(0)
    batch = _DOMAINS * images
    pictures = random.integers(0, 256, (batch, pixels, pixels, 3), np.uint8)
    labels = random.integers(0, _CLASSES, batch)
    data = tf.data.Dataset.from_tensors((pictures, labels)).repeat(steps)
    model.fit(data, verbose=0, shuffle=False)
    start_quantization(model)
    model.fit(data, verbose=0, shuffle=False)
    return need.total, peak_bytes()


def peak_bytes() -> int:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    run_tool(main)
