"""Compares the memory that training is predicted to take with the peak that it does take.

    python -m tools.benchmark_memory --cases=efficientnet_lite0:64:16,resnet50:224:8

A case is a backbone, the edge of its images in pixels, and the images of each of three domains in
a batch. Each is trained for some steps, float and quantized, on random pixels in a process of its
own.
"""

import multiprocessing
import resource

import keras
from absl import flags

from qtdog_tf.quantization import start_quantization
from qtdog_tf.tables import format_table
from qtdog_tf.training.memory import MEBIBYTE, predict_memory
from qtdog_tf.training.model import build_training_model
from qtdog_tf.training.settings import TrainSettings
from tools._main import refuse_arguments, run_tool
from tools._training_cases import CLASSES, DOMAINS, parse_case, random_batches

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "cases",
    "tiny:16:4,efficientnet_lite0:64:16,efficientnet_lite0:128:16,resnet50:112:16,resnet50:224:8",
    "Each a backbone:pixels:images of a domain.",
)
flags.DEFINE_integer("steps", 3, "Steps before and after quantization starts.", lower_bound=1)


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
            [case[0], str(case[1]), str(DOMAINS * case[2]), *shown, f"{predicted / peak:.2f}"]
        )
    header = ["backbone", "pixels", "images", "predicted MiB", "peak MiB", "predicted / peak"]
    print(format_table(header, rows))


def measure(backbone: str, pixels: int, images: int, steps: int) -> tuple[int, int]:
    """Trains; returns the bytes predicted, and the peak of resident memory."""
    settings = TrainSettings(
        backbone=backbone, weights="none", image_size=pixels, images_per_domain=images
    )
    model: keras.Model = build_training_model(
        settings, CLASSES, bits=7, seed=0, num_domains=DOMAINS
    )
    need = predict_memory(model, settings, DOMAINS, images=0)
    data = random_batches(pixels, images, steps)
    model.fit(data, verbose=0, shuffle=False)
    start_quantization(model)
    model.fit(data, verbose=0, shuffle=False)
    return need.total, peak_bytes()


def peak_bytes() -> int:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    run_tool(main)
