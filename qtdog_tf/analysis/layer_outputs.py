"""What single layers of a model put out, inside wrappers and nested models too.

Keras' way, a model of the inputs and an intermediate output, ends where a nested model begins: the
output of a layer in there belongs to another graph. Here the layers themselves are watched while
the model runs. Start from `watched`.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from qtdog_tf.errors import UserError

_CONVOLUTIONS = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
)
# On a smaller map every place sees most of the image.
_SMALLEST_MAP = 4


@contextlib.contextmanager
def watched(
    layers: Iterable[keras.layers.Layer], saw: Callable[[keras.layers.Layer, tf.Tensor], None]
) -> Iterator[None]:
    """Within this context, shows what layers put out, each time that they are called.

    Args:
        layers: of a model that is then called as a function, not by `predict`, which has been
            traced without being watched.
        saw: called with the layer and its output, which goes on into the layers after it.
    """
    chosen = list(layers)

    def showing(layer: keras.layers.Layer) -> Callable:
        call = layer.call

        def call_and_show(*args: Any, **kwargs: Any) -> tf.Tensor:
            output = call(*args, **kwargs)
            saw(layer, output)
            return output

        return call_and_show

    for layer in chosen:
        # Past Keras' tracking of attributes.
        object.__setattr__(layer, "call", showing(layer))
    try:
        yield
    finally:
        for layer in chosen:
            object.__delattr__(layer, "call")


def convolution_maps(
    model: keras.Model, pixels: np.ndarray
) -> dict[keras.layers.Layer, tuple[int, int]]:
    """The convolutions of a model, in the order that it runs them in.

    Args:
        model: from pixels to anything. Of a quantized layer it is the one in the wrapper that
            counts.
        pixels: what to run it on, float or uint8 [n, h, w, 3].

    Returns:
        Height and width of the output of each that is run once, and whose name is its own.
    """
    layers = model._flatten_layers(include_self=False, recursive=True)
    convolutions = {id(layer): layer for layer in layers if isinstance(layer, _CONVOLUTIONS)}
    uses: list[tuple[keras.layers.Layer, tuple[int, ...]]] = []
    with watched(convolutions.values(), lambda v, output: uses.append((v, tuple(output.shape)))):
        model(tf.cast(pixels, tf.float32), training=False)
    names = [layer.name for layer, _ in uses]
    return {
        layer: (shape[1], shape[2])
        for layer, shape in uses
        if names.count(layer.name) == 1 and len(shape) == 4
    }


def choose_convolution(
    model: keras.Model, pixels: np.ndarray, name: str = ""
) -> tuple[keras.layers.Layer, tuple[int, int]]:
    """Finds a convolution, and height and width of its output.

    Args:
        model: see `convolution_maps`.
        pixels: see `convolution_maps`; one image is enough.
        name: of the convolution. Default: the last one whose map is at least 4 x 4.

    Raises:
        UserError: if there is none, naming those that there are.
    """
    maps = convolution_maps(model, pixels)
    if name:
        found = [layer for layer in maps if layer.name == name]
    else:
        found = [layer for layer, size in maps.items() if min(size) >= _SMALLEST_MAP]
    if found:
        return found[-1], maps[found[-1]]
    wanted = f"called {name!r}" if name else f"with a map of {_SMALLEST_MAP} x {_SMALLEST_MAP}"
    there = ", ".join(f"{layer.name} ({h} x {w})" for layer, (h, w) in maps.items())
    raise UserError(f"model {model.name!r} has no convolution {wanted}; it has {there or 'none'}")
