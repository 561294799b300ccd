"""Predicts the memory that training takes, so that it is refused before it is killed for it.

An estimate from the model's structure, with two constants that were measured:
`python -m tools.benchmark_memory` compares it with the peak. Start from `check_memory`.
"""

import dataclasses
import math
import resource
from collections.abc import Sequence
from pathlib import Path

import keras

from qtdog_tf.data.kept_batches import DEFAULT_EVALUATION_CACHE_BYTES
from qtdog_tf.errors import UserError
from qtdog_tf.records import SWAD
from qtdog_tf.training.settings import TrainSettings

MEBIBYTE = 2**20
# Python, TensorFlow and the traced functions.
RUNTIME_BYTES = 900 * MEBIBYTE
# The outputs of the layers are kept for the backward pass, whose own values come on top.
ACTIVATION_COPIES = 1.3


@dataclasses.dataclass(frozen=True)
class MemoryNeed:
    """Bytes that training takes at its peak, by what for.

    Attributes:
        activations: outputs of the layers for a batch, and their gradients.
        weights: weights, optimizer, averages, selected weights, and the copy for a checkpoint.
        images: files and evaluation images that are kept, and the logits of an evaluation.
        runtime: the programs themselves.
    """

    activations: int
    weights: int
    images: int
    runtime: int = RUNTIME_BYTES

    @property
    def total(self) -> int:
        """All of it."""
        return self.activations + self.weights + self.images + self.runtime


def predict_memory(
    model: keras.Model, settings: TrainSettings, sources: int, images: int
) -> MemoryNeed:
    """The memory that a run takes.

    Args:
        model: that is trained; a functional one. If it learns from a teacher, that one's weights
            are there too.
        settings: of the run.
        sources: number of source domains.
        images: bytes of image files that are kept in memory, and `evaluation_bytes`.
    """
    batch = sources * settings.images_per_domain
    outputs = sum(
        math.prod(size for size in shape if size is not None)
        for layer in model.layers
        # Activations are computed in place.
        if not isinstance(layer, keras.layers.Activation | keras.layers.ReLU)
        for shape in _shapes(layer.output)
    )
    everything = _numbers(model)
    learned = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    # Two moments of Adam, and each average.
    state = everything + learned * (2 + len(settings.averages))
    kept = everything * (1 + len(settings.averages))
    if SWAD in settings.averages:
        # The closed segments, and the average.
        kept += learned * (max(settings.swad_converge, settings.swad_tolerance) + 1)
    # Gradients; and a checkpoint, which is a copy of the state while it is written.
    weights = 2 * state + learned + kept
    teacher = getattr(getattr(model, "algorithm", None), "teacher", None)
    if teacher is not None:
        weights += _numbers(teacher)
    return MemoryNeed(int(4 * ACTIVATION_COPIES * outputs * batch), 4 * weights, images)


def evaluation_bytes(parts: Sequence[int], classes: int, image_size: int) -> int:
    """The memory that evaluations keep: resized images, and the logits of the largest part.

    Args:
        parts: number of images of each part.
        classes: number of classes.
        image_size: height and width, pixels.
    """
    pixels = [images * image_size * image_size * 3 for images in parts]
    # A part that does not fit is decoded again each time, and nothing of it is kept.
    kept = sum(size for size in pixels if size <= DEFAULT_EVALUATION_CACHE_BYTES)
    # The logits of each batch, and of all batches joined: float32 twice.
    return kept + 2 * 4 * classes * max(parts, default=0)


def check_memory(need: MemoryNeed, available: int | None = None) -> None:
    """Refuses what does not fit.

    Args:
        need: what `predict_memory` returned.
        available: bytes; by default what this process may take, see `available_bytes`.

    Raises:
        UserError: naming the largest part and what to lower.
    """
    available = available_bytes() if available is None else available
    if need.total <= available:
        return
    parts = {
        "layer outputs for a batch: lower images_per_domain or image_size": need.activations,
        "weights and their averages: choose a smaller backbone or fewer averages": need.weights,
        "images in memory: lower cache_mb": need.images,
    }
    largest = max(parts, key=lambda name: parts[name])
    raise UserError(
        f"training takes about {need.total / 1e9:.1f} GB of memory and {available / 1e9:.1f} GB "
        f"are available; {parts[largest] / 1e9:.1f} GB are for {largest}; --nocheck_memory starts "
        "all the same"
    )


def available_bytes() -> int:
    """What this process may take: what it has, and what is free of the machine and its group."""
    mine = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    values = {name: int(value.split()[0]) for name, value in (line.split(":") for line in lines)}
    free = [values["MemAvailable"] * 1024]
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text())
        free.append(limit - int((group / "memory.current").read_text()))
    except (OSError, ValueError):
        # No group, or one without a limit ("max").
        pass
    return mine + min(free)


def _numbers(model: keras.Model) -> int:
    return sum(math.prod(variable.shape) for variable in model.variables)


def _shapes(output: object) -> list[tuple[int | None, ...]]:
    return [tensor.shape for tensor in keras.tree.flatten(output)]
