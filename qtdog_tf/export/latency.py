"""Milliseconds an image, one image at a time: a first figure for the report.

For comparisons of files use `tools/benchmark_tflite.py`, which measures longer.
"""

import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np

from qtdog_tf.export.tflite.runner import TFLiteClassifier, open_file
from qtdog_tf.export.timing import time_in_turn

THREADS = (1, 2)
_ROUNDS, _SECONDS, _WARM_UP = 11, 0.03, 0.1


def measure_latency(path: Path) -> dict[int, float]:
    """Median time for one image by number of threads, in milliseconds.

    Args:
        path: a .tflite file.
    """
    calls = {threads: run_on_noise(open_file(path, threads), seed=0) for threads in THREADS}
    times = time_in_turn(calls, rounds=_ROUNDS, seconds=_SECONDS, warm_up=_WARM_UP, seed=0)
    return {threads: 1000 * statistics.median(seconds) for threads, seconds in times.items()}


def run_on_noise(classifier: TFLiteClassifier, seed: int) -> Callable[[], object]:
    """A function that runs a file once, on an image of random pixels.

    Args:
        classifier: the file.
        seed: of the pixels.
    """
    size = classifier.image_size
    pixels = np.random.default_rng(seed).integers(0, 256, (1, size, size, 3), np.uint8)
    codes = classifier.input_codes(pixels)
    return lambda: classifier.run(codes)
