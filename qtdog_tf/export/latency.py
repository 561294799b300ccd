"""Milliseconds an image, one image at a time: a first figure for the report.

For comparisons of files use `tools/benchmark_tflite.py`, which runs them in turn.
"""

import time
from pathlib import Path

import numpy as np

from qtdog_tf.export.runner import open_file

THREADS = (1, 2)
_WARM_UP, _ROUNDS = 3, 15


def measure_latency(path: Path) -> dict[int, float]:
    """Median time for one image by number of threads, in milliseconds.

    Args:
        path: a .tflite file.
    """
    return {threads: _median(path, threads) for threads in THREADS}


def _median(path: Path, threads: int) -> float:
    with open_file(path, threads=threads) as classifier:
        size = classifier.image_size
        pixels = np.random.default_rng(0).integers(0, 256, (1, size, size, 3)).astype(np.uint8)
        codes = classifier.input_codes(pixels)
        times = []
        for _ in range(_WARM_UP + _ROUNDS):
            began = time.perf_counter()
            classifier.run(codes)
            times.append(time.perf_counter() - began)
    return 1000 * float(np.median(times[_WARM_UP:]))
