"""What the functions that turn layers into operations share."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from qtdog_tf.export.graph.ops import NO_CLIP, Common, Op

# Of a layer's inputs, without the batch axis.
Shapes = Sequence[tuple[int, ...]]
# Takes a layer, the wrapper around it or None, and what its operations have in common.
Handler = Callable[[Any, Any, Common, Shapes], list[Op]]
# The activations that the operation before them can do by itself, as its limits.
CLIPS = {
    keras.activations.linear: NO_CLIP,
    keras.activations.relu: (0.0, np.inf),
    keras.activations.relu6: (0.0, 6.0),
}


class NotInteger(Exception):
    """The layer has no integer form; the message says why, as half a sentence."""


def stays_float(activation: Callable[..., Any]) -> str:
    """Why an activation is not integer, as half a sentence."""
    return f"activation {getattr(activation, '__name__', activation)!r} stays float"
