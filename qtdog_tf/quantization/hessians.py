"""The curvature of each layer's squared output error, from the inputs that the layer meets.

For a layer's rows of weights it is H = 2 X X^T (method, section 3), with X the inputs over
calibration images. Start from `input_hessians`.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from qtdog_tf.quantization.kernel_rows import input_columns
from qtdog_tf.quantization.wrapper import QuantizeWrapper


def input_hessians(
    model: keras.Model,
    wrappers: Sequence[QuantizeWrapper],
    batches: Iterable[np.ndarray],
    advance: Callable[[int], object] = lambda images: None,
) -> list[np.ndarray]:
    """H of each wrapped layer, all from the inputs that it has in the model as it is.

    Args:
        model: a float model of images.
        wrappers: layers of it.
        batches: calibration images, [n, S, S, 3] as the model takes them.
        advance: called with the number of images of each batch.

    Returns:
        For each wrapper 2 X X^T / samples, float64 [groups, d, d]; see `kernel_rows`.
    """
    sums: list[Any] = [0.0] * len(wrappers)
    samples = [0] * len(wrappers)

    def take(number: int, inputs: Any) -> None:
        columns = input_columns(wrappers[number].layer, inputs)
        # Added up in float64: a sum over thousands of images would lose the last ones.
        products = tf.matmul(columns, columns, transpose_a=True).numpy()
        sums[number] = sums[number] + products.astype(np.float64)
        samples[number] += columns.shape[1]

    with _watching(wrappers, take):
        for images in batches:
            model(images, training=False)
            advance(len(images))
    return [2 * total / count for total, count in zip(sums, samples, strict=True)]


@contextlib.contextmanager
def _watching(
    wrappers: Sequence[QuantizeWrapper], take: Callable[[int, Any], None]
) -> Iterator[None]:
    """Inside, `take` gets the number of each wrapper that is called eagerly, and its inputs."""

    def watch(number: int, wrapper: QuantizeWrapper) -> None:
        plain = wrapper.call

        def call(inputs: Any, *args: Any, **kwargs: Any) -> Any:
            take(number, inputs)
            return plain(inputs, *args, **kwargs)

        # Past Keras' tracking of attributes. It shadows the method of the class.
        object.__setattr__(wrapper, "call", call)

    try:
        for number, wrapper in enumerate(wrappers):
            watch(number, wrapper)
        yield
    finally:
        for wrapper in wrappers:
            object.__delattr__(wrapper, "call")
