"""What the layers of a transformer become in the deploy graph.

Start with `SEQUENCE_HANDLERS`; the operations are in `ops_sequence.py`.
"""

from typing import Any

import keras
import numpy as np

from qtdog_tf.export.graph import ops, ops_sequence
from qtdog_tf.export.graph.lower_common import Handler, NotInteger, Shapes
from qtdog_tf.export.graph.ops import Common
from qtdog_tf.models.attention import ClassToken, SelfAttention


def _layer_norm(layer: Any, wrapper: Any, common: Common, shapes: Shapes) -> list[ops.Op]:
    axes = [layer.axis] if isinstance(layer.axis, int) else list(layer.axis)
    if axes not in ([-1], [len(shapes[0])]) or len(shapes[0]) != 2:
        raise NotInteger("only a LayerNorm over the channels of tokens has an integer form here")
    channels = shapes[0][-1]
    gamma = np.asarray(layer.gamma, np.float64) if layer.scale else np.ones(channels)
    beta = np.asarray(layer.beta, np.float64) if layer.center else np.zeros(channels)
    return ops_sequence.layer_norm(common, gamma, beta, layer.epsilon)


def _attention(layer: Any, wrapper: Any, common: Common, shapes: Shapes) -> list[ops.Op]:
    return ops_sequence.self_attention(common, layer.heads)


def _class_token(layer: Any, wrapper: Any, common: Common, shapes: Shapes) -> list[ops.Op]:
    """A row of zeros before the others, and one sum for token and positions."""
    name, inputs, shape, text = common
    values = layer.positions.numpy()
    values[0] += np.asarray(layer.token, np.float32)
    return [
        ops.Pad(f"{name}.pad", inputs, shape, text, pads=((1, 0),)),
        ops_sequence.Constant(f"{name}.positions", (), shape, text, values),
        ops.Add(name, (f"{name}.pad", f"{name}.positions"), shape, text),
    ]


def _crop_tokens(layer: Any, wrapper: Any, common: Common, shapes: Shapes) -> list[ops.Op]:
    return [ops_sequence.Slice(*common, (layer.cropping[0], 0))]


SEQUENCE_HANDLERS: tuple[tuple[Any, Handler], ...] = (
    (keras.layers.LayerNormalization, _layer_norm),
    (keras.layers.Cropping1D, _crop_tokens),
    (SelfAttention, _attention),
    (ClassToken, _class_token),
)
