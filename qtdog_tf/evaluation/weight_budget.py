"""Keeps Keras from making more weights than a file holds, while it loads a model.

A description of a hundred bytes can ask for a layer of a terabyte, which Keras would allocate
before it looks into the file. Start from `weight_budget`.
"""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import keras

# Of each weight in training: float32. Keras' own counters and seeds are few and small.
_BYTES = 4
_SPARE_BYTES = 2**20
# Numbers in the output of a layer for one image: 64 channels of 2,048 x 2,048.
_MAX_OUTPUT = 2**28


@contextlib.contextmanager
def weight_budget(file_bytes: int) -> Iterator[None]:
    """Limits the weights that layers make inside the block.

    It changes Keras' method for the length of the block, so no other thread should build a model.

    Args:
        file_bytes: size of the weights file, which holds every weight in full.

    Raises:
        ValueError: in the block, if a layer makes more.
    """
    original = keras.layers.Layer.add_weight
    left = file_bytes + _SPARE_BYTES

    def add_weight(layer: keras.layers.Layer, shape: Any = None, *args: Any, **kwargs: Any) -> Any:
        nonlocal left
        edges = () if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
        left -= _BYTES * math.prod(int(edge) for edge in edges)
        if left < 0:
            raise ValueError(
                f"layer {layer.name} asks for weights of shape {list(edges)}, more than the file "
                "holds"
            )
        return original(layer, shape, *args, **kwargs)

    keras.layers.Layer.add_weight = add_weight
    try:
        yield
    finally:
        keras.layers.Layer.add_weight = original


def check_outputs(model: keras.Model) -> None:
    """Refuses a model whose layers give more numbers for an image than any network here.

    Raises:
        ValueError: naming the first layer.
    """
    for operation in _operations(model):
        for tensor in keras.tree.flatten(getattr(operation, "output", ())):
            if math.prod(edge for edge in tensor.shape if edge is not None) > _MAX_OUTPUT:
                raise ValueError(
                    f"layer {operation.name} gives {list(tensor.shape)[1:]} numbers for an image"
                )


def _operations(model: keras.Model) -> Iterator[Any]:
    for operation in getattr(model, "operations", model.layers):
        yield operation
        if isinstance(operation, keras.Model):
            yield from _operations(operation)
