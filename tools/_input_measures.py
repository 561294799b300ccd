"""What the input pipeline takes and yields, each measured in a process of its own.

For tools/benchmark_input.py. Start from `in_new_process`.
"""

import multiprocessing
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from qtdog_tf.data import (
    DomainSet,
    Split,
    check_domains,
    evaluation_batches,
    open_domains,
    plan_cache,
    split_domains,
    training_batches,
)
from qtdog_tf.data.augment import domainbed_augment
from tools._torch_child import DEVIATION, MEAN

SOURCES = 5


def in_new_process(measure: Callable[..., Any], *arguments: object) -> Any:
    """What a function of this module returns in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, arguments)


def start_and_memory(root: str, size: int, images: int, steps: int) -> dict[str, dict[str, float]]:
    """Seconds, processor seconds and memory of each stage of a run's input.

    Args:
        root: the folder of domains.
        size: edge of the images, pixels.
        images: of each domain in a batch.
        steps: batches to draw.

    Returns:
        By stage, {"seconds", "cpu_seconds", "mb", "peak_mb"}; memory at its end, and the most until
        then.
    """
    stages: dict[str, dict[str, float]] = {}
    clock = _Clock()

    def end(stage: str) -> None:
        stages[stage] = {**clock.lap(), "mb": _memory("VmRSS"), "peak_mb": _memory("VmHWM")}

    end("import")
    domain_set = open_domains(root)
    end("open_domains")
    splits = split_domains(domain_set, 0)
    end("split_domains")
    plan_cache(domain_set, splits, domain_set.names[:SOURCES])
    end("plan_cache")
    batches = iter(_batches(domain_set, splits, size, images, steps))
    next(batches)
    end("first batch")
    for _ in batches:
        pass
    end(f"{steps} batches")
    parts = [
        iter(evaluation_batches(domain, part, image_size=size, batch_size=64, check_size=False))
        for domain in domain_set.domains
        for part in (splits[domain.name].in_, splits[domain.name].out)
    ]
    for part in parts:
        next(part)
    end(f"{len(parts)} evaluation parts begun")
    return stages


def check(root: str) -> dict[str, float]:
    """Seconds, processor seconds, memory and images of the check of every image."""
    domain_set = open_domains(root)
    before, clock = _memory("VmRSS"), _Clock()
    report = check_domains(domain_set)
    return {
        **clock.lap(),
        "images": int(report.counts.sum()),
        "mb": _memory("VmRSS") - before,
        "peak_mb": _memory("VmHWM") - before,
        "unreadable": len(report.unreadable),
        "duplicates": len(report.duplicates),
    }


def rate(
    root: str, size: int, images: int, steps: int, warm_up: int, normalized: bool
) -> dict[str, float]:
    """Images a second of training batches read from disk.

    Args:
        root: the folder of domains.
        size: edge of the images, pixels.
        images: of each domain in a batch.
        steps: batches that are timed.
        warm_up: batches before them.
        normalized: also make normalized float32 of them, which otherwise the model does.
    """
    clock = _Clock()
    domain_set = open_domains(root)
    splits = split_domains(domain_set, 0)
    # More than are taken: what is prepared ahead is as much when the clock stops as when it starts.
    batches = _batches(domain_set, splits, size, images, 10 * (steps + warm_up))
    if normalized:
        # As large as an image: three numbers take four times as long to spread over it.
        mean, deviation = (255 * np.full((size, size, 3), v, np.float32) for v in (MEAN, DEVIATION))

        def normalize(inputs: dict[str, tf.Tensor], label: tf.Tensor) -> tuple[Any, tf.Tensor]:
            return (tf.cast(inputs["image"], tf.float32) - mean) / deviation, label

        batches = batches.map(normalize).prefetch(tf.data.AUTOTUNE)
    iterator = iter(batches)
    next(iterator)
    first = clock.lap()["seconds"]
    for _ in range(warm_up):
        next(iterator)
    clock.lap()
    count = sum(len(next(iterator)[1]) for _ in range(steps))
    spent = clock.lap()
    return {
        "first_batch_s": first,
        "images_per_second": count / spent["seconds"],
        "cpu_ms": 1000 * spent["cpu_seconds"] / count,
        "mb": _memory("VmRSS"),
    }


def augmented(picture: np.ndarray, size: int, n: int, seed: int) -> np.ndarray:
    """Augments one picture many times; uint8 [n, size, size, 3]."""
    image = tf.constant(picture)
    results = tf.data.Dataset.range(n).map(
        lambda i: domainbed_augment(image, size, tf.stack([tf.constant(seed, tf.int64), i])),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return np.stack(list(results.as_numpy_iterator()))


def _batches(
    domain_set: DomainSet, splits: Mapping[str, Split], size: int, images: int, stop: int
) -> tf.data.Dataset:
    return training_batches(
        domain_set,
        splits,
        domain_set.names[:SOURCES],
        image_size=size,
        images_per_domain=images,
        seed=0,
        start_step=0,
        stop_step=stop,
        cache_bytes=0,
    )


class _Clock:
    """Seconds and processor seconds since the last lap."""

    def __init__(self) -> None:
        self._last = time.perf_counter(), time.process_time()

    def lap(self) -> dict[str, float]:
        now = time.perf_counter(), time.process_time()
        seconds, cpu_seconds = (a - b for a, b in zip(now, self._last, strict=True))
        self._last = now
        return {"seconds": seconds, "cpu_seconds": cpu_seconds}


def _memory(name: str) -> float:
    """A line of this process's status, in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024
