"""Calibration: the range of every activation, from images of the source domains.

Start with `calibrate`.
"""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np
import tensorflow as tf

from qtdog_tf.export.graph import ops
from qtdog_tf.export.graph.execute import normalize, run
from qtdog_tf.export.observers import Observer, make_observer

Range = tuple[float, float]
PIXEL_MAX = 255
# What TFLite's softmax gives, whatever it sees: codes 0 to 255 of 1/256.
PROBABILITY_RANGE = (0.0, 255 / 256)
# Of an activation that is always 0; any width would do.
_EMPTY_RANGE = (0.0, 1.0)


@dataclasses.dataclass(frozen=True, eq=False)
class Calibration:
    """What calibration saw.

    Attributes:
        ranges: by operation, the range that its output's 256 codes cover; 0 is inside. Operations
            that only move values (pads, maxima, reshapes) have the range of their input.
        means: by convolution, the mean of its output in each channel.
        images: how many images were seen.
    """

    ranges: Mapping[str, Range]
    means: Mapping[str, np.ndarray]
    images: int


def has_own_range(op: ops.Op) -> bool:
    """Whether an operation's output is computed, and not only moved or picked."""
    if isinstance(op, ops.Pool):
        return op.kind == "average"
    return not isinstance(op, ops.Move)


def calibrate(
    graph: ops.Graph,
    batches: Iterable[np.ndarray],
    *,
    observer: str = "minmax",
    percent: float = 99.99,
) -> Calibration:
    """Runs images through a folded graph and watches every activation.

    Args:
        graph: what `fold` returned, without a `KerasCall`.
        batches: raw pixels 0..255, [n, S, S, 3]; at least one batch.
        observer: one of `observers.OBSERVERS`.
        percent: of the percentile observer.

    Raises:
        ValueError: if there is no batch, or for an unknown observer.
    """
    observers = {op.name: make_observer(observer, percent) for op in graph.ops if has_own_range(op)}
    sums = {conv.name: np.zeros(conv.shape[-1]) for conv in graph.convs}
    images = 0
    for pixels in batches:
        images += len(pixels)
        _watch(graph, pixels, observers, sums)
    if not images:
        raise ValueError("calibration needs at least one image")
    measured = {name: _with_zero(observers[name].range()) for name in observers}
    means = {name: total / images for name, total in sums.items()}
    return Calibration(_settle(graph, measured), means, images)


def _watch(
    graph: ops.Graph,
    pixels: np.ndarray,
    observers: Mapping[str, Observer],
    sums: Mapping[str, np.ndarray],
) -> None:
    def watch(op: ops.Op, value: tf.Tensor) -> tf.Tensor:
        if op.name in observers:
            array = value.numpy()
            observers[op.name].update(array)
            if op.name in sums:
                sums[op.name][:] += array.mean(axis=(1, 2), dtype=np.float64).sum(axis=0)
        return value

    image = normalize(graph.image, tf.constant(pixels, tf.float32))
    run(graph, image, output=watch)


def _with_zero(measured: Range) -> Range:
    """TFLite needs 0 to have a code: it is what padding is made of."""
    low, high = min(measured[0], 0.0), max(measured[1], 0.0)
    return (low, high) if low < high else _EMPTY_RANGE


def _settle(graph: ops.Graph, measured: dict[str, Range]) -> dict[str, Range]:
    """Puts in the ranges that are known, and hands ranges on to what only moves values."""
    ranges: dict[str, Range] = {}
    for op in graph.ops:
        if isinstance(op, ops.Image):
            ranges[op.name] = (op.offset, PIXEL_MAX * op.scale + op.offset)
        elif isinstance(op, ops.Softmax):
            ranges[op.name] = PROBABILITY_RANGE
        elif isinstance(op, ops.Conv) and _is_of_pixels(op, graph.image):
            ranges[op.name] = _range_of_pixels(op, graph.image)
        elif op.name in measured:
            ranges[op.name] = measured[op.name]
        else:
            ranges[op.name] = ranges[op.inputs[0]]
        if isinstance(op, ops.Average):
            _share_range(op, graph, ranges)
    return ranges


def _is_of_pixels(op: ops.Conv, image: ops.Image) -> bool:
    """Whether a convolution is a normalization: of single pixels, one weight an output."""
    if op.inputs != (image.name,):
        return False
    weights = op.kernel.to_float()
    return weights.shape[:2] == (1, 1) and bool(np.all((weights != 0).sum(axis=(0, 1, 2)) == 1))


def _range_of_pixels(op: ops.Conv, image: ops.Image) -> Range:
    """From black to white, which no calibration image need show."""
    slopes = op.kernel.to_float().sum(axis=(0, 1, 2), dtype=np.float64)
    ends = np.array([image.offset, PIXEL_MAX * image.scale + image.offset])
    values = np.clip(slopes * ends[:, None] + op.bias, *op.clip)
    return _with_zero((float(values.min()), float(values.max())))


def _share_range(average: ops.Average, graph: ops.Graph, ranges: dict[str, Range]) -> None:
    """Gives the members of an ensemble one range, so that their codes can be averaged."""
    by_name = {op.name: op for op in graph.ops}
    low = min(ranges[name][0] for name in average.inputs)
    high = max(ranges[name][1] for name in average.inputs)
    for name in average.inputs:
        while True:
            ranges[name] = (low, high)
            if has_own_range(by_name[name]):
                break
            name = by_name[name].inputs[0]
    if ranges[average.inputs[0]] == PROBABILITY_RANGE:
        ranges[average.name] = PROBABILITY_RANGE
