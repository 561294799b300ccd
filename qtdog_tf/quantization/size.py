"""The honest size of a quantized model: codes packed to their bits, and everything else in float32.

The paper's figure is 32 / bits; step sizes, BatchNorm and the head are not free.
"""

import dataclasses
import math

import keras

from qtdog_tf.quantization.quantizer import is_step_size
from qtdog_tf.quantization.wrapper import quantize_wrappers

_FLOAT_BYTES = 4


@dataclasses.dataclass(frozen=True)
class ModelSize:
    """Sizes of a model, bytes.

    Attributes:
        float_bytes: every weight in float32, without step sizes.
        packed_bytes: codes at their bit width without padding, step sizes and the rest in float32.
    """

    float_bytes: int
    packed_bytes: int

    @property
    def ratio(self) -> float:
        """How many times smaller than in float32."""
        return self.float_bytes / self.packed_bytes


def model_size(model: keras.Model, *, fold_batch_norm: bool = False) -> ModelSize:
    """Adds up the size of a model.

    Args:
        model: any Keras 3 model; layers that quantize now count by their codes.
        fold_batch_norm: count each BatchNorm as the one bias a channel that it becomes when it is
            folded into the convolution before it (its scale goes into the step size). The float
            size stays that of the model as it is.
    """
    step_sizes = [v for v in model.variables if is_step_size(v)]
    total = sum(math.prod(v.shape) for v in model.weights) - sum(
        math.prod(v.shape) for v in step_sizes
    )
    code_bits = code_count = step_size_count = 0
    for wrapper in quantize_wrappers(model):
        if not wrapper.quantizes:
            continue
        for weight, quantizer, variables in wrapper.quantized_weights:
            code_bits += math.prod(weight.shape) * quantizer.bits
            code_count += math.prod(weight.shape)
            step_size_count += sum(math.prod(v.shape) for v in variables.values())
    floats = total - code_count + step_size_count
    if fold_batch_norm:
        floats -= sum(_folded_away(layer) for layer in model._flatten_layers(include_self=False))
    return ModelSize(
        float_bytes=_FLOAT_BYTES * total,
        packed_bytes=math.ceil(code_bits / 8) + _FLOAT_BYTES * floats,
    )


def _folded_away(layer: keras.layers.Layer) -> int:
    if not isinstance(layer, keras.layers.BatchNormalization):
        return 0
    return sum(math.prod(v.shape) for v in layer.weights) - layer.weights[0].shape[0]
