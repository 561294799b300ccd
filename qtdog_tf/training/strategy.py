"""The devices that train one run together: `open_strategy`.

Each gets its share of the batch of a step, with as many images of every domain as the others, so
the loss is that of one device; sums are added in another order, so the last bits are not.
"""

import contextlib
import re

import tensorflow as tf

from qtdog_tf.algorithms import AlgorithmSettings, build_algorithm
from qtdog_tf.algorithms.replicas import check_algorithm
from qtdog_tf.errors import UserError
from qtdog_tf.training.run_settings import MULTI_WORKER, NONE, RunSettings
from qtdog_tf.training.settings import TrainSettings

_DEVICE = re.compile(r"(CPU|GPU):(\d+)")


def open_strategy(settings: RunSettings) -> tf.distribute.Strategy:
    """The strategy that the settings name.

    Call it before TensorFlow has computed anything: of the one processor of a machine it makes as
    many devices as are named, CPU:0, CPU:1, ..., which is good for a trial without GPUs only.

    Args:
        settings: how the run is carried out.

    Returns:
        TensorFlow's default strategy for "none", or a `MirroredStrategy`.

    Raises:
        UserError: for "multi_worker"; for devices that are not there, are named twice or are less
            than two; for devices without a strategy.
    """
    if settings.strategy == MULTI_WORKER:
        raise UserError(
            "strategy multi_worker cannot train: fit of Keras 3 fails with TensorFlow's "
            "MultiWorkerMirroredStrategy (ValueError on PerReplica values); to use several "
            "machines spread a sweep over them, one run a worker: python -m tools.sweep "
            "--engine=ray"
        )
    if settings.strategy == NONE:
        if settings.devices:
            raise UserError(
                f"devices are named ({', '.join(settings.devices)}) and strategy is none, which "
                "uses one: add --strategy=mirrored, or leave out --devices"
            )
        return tf.distribute.get_strategy()
    _divide_processor(settings.devices)
    there = [device.name.removeprefix("/device:") for device in tf.config.list_logical_devices()]
    chosen = list(settings.devices) or [name for name in there if name.startswith("GPU")]
    gone = [name for name in chosen if name not in there]
    if gone or len(set(chosen)) < len(chosen) or len(chosen) < 2:
        raise UserError(
            "strategy mirrored needs two or more different devices; asked for "
            f"{', '.join(settings.devices) or 'all GPUs'}, there are {', '.join(there)}: name some "
            "of these by --devices, or use --strategy=none"
        )
    return tf.distribute.MirroredStrategy(chosen)


def _divide_processor(devices: tuple[str, ...]) -> None:
    """Makes several logical devices of the processor, if as many are named."""
    matches = [_DEVICE.fullmatch(name) for name in devices]
    count = max((int(m[2]) + 1 for m in matches if m and m[1] == "CPU"), default=1)
    if count == 1 or count > len(devices):
        return
    (processor,) = tf.config.list_physical_devices("CPU")
    if tf.config.get_logical_device_configuration(processor) is None:
        parts = [tf.config.LogicalDeviceConfiguration() for _ in range(count)]
        # Where TensorFlow has begun it is too late, and the devices will be said to be missing.
        with contextlib.suppress(RuntimeError):
            tf.config.set_logical_device_configuration(processor, parts)


def check_strategy(
    strategy: tf.distribute.Strategy, settings: TrainSettings, algorithm: AlgorithmSettings
) -> None:
    """Refuses, before anything is written, a run whose batches do not split.

    Args:
        strategy: what `open_strategy` returned.
        settings: of the run.
        algorithm: its training method.

    Raises:
        UserError: naming what to use instead.
    """
    replicas = strategy.num_replicas_in_sync
    # Distillation, which cannot be built before its teacher is loaded, splits.
    if algorithm.algorithm != "distill":
        check_algorithm(build_algorithm(algorithm), replicas)
    if settings.images_per_domain % replicas:
        raise UserError(
            f"images_per_domain ({settings.images_per_domain}) cannot be shared equally by "
            f"{replicas} devices: choose a multiple of {replicas}, or --strategy=none"
        )
    if replicas > 1 and settings.steps_per_execution > 1:
        raise UserError(
            f"steps_per_execution ({settings.steps_per_execution}) must be 1 for several devices, "
            "whose sums over gradients fail inside TensorFlow's loop over steps"
        )
