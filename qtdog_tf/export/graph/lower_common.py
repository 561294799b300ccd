"""What the functions that turn layers into operations share."""

from collections.abc import Callable, Sequence
from typing import Any

from qtdog_tf.export.graph.ops import Common, Op

# Of a layer's inputs, without the batch axis.
Shapes = Sequence[tuple[int, ...]]
# Takes a layer, the wrapper around it or None, and what its operations have in common.
Handler = Callable[[Any, Any, Common, Shapes], list[Op]]


class NotInteger(Exception):
    """The layer has no integer form; the message says why, as half a sentence."""
