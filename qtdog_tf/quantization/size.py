"""The honest size of a quantized model: codes packed to their bits, and everything else in float32.

The paper's figure is 32 / bits; step sizes, BatchNorm and the head are not free.
"""

import dataclasses
import math
from collections.abc import Sequence

import keras
import numpy as np

from qtdog_tf.quantization.quantizer import is_step_size
from qtdog_tf.quantization.wrapper import quantize_wrappers

FLOAT_BYTES = 4


@dataclasses.dataclass(frozen=True)
class ModelSize:
    """What a model consists of, and its size.

    Attributes:
        weights: number of weights of the float model.
        quantized_weights: how many of them are stored as codes.
        code_bits: bits of all codes at their bit width, without padding.
        step_sizes: number of step sizes, float32.
        folded_weights: weights that disappear when BatchNorm is folded; 0 if it is not.
    """

    weights: int
    quantized_weights: int = 0
    code_bits: int = 0
    step_sizes: int = 0
    folded_weights: int = 0

    @property
    def float_bytes(self) -> int:
        """Every weight in float32, BatchNorm not folded, without step sizes."""
        return FLOAT_BYTES * self.weights

    @property
    def packed_bytes(self) -> int:
        """Codes at their bit width; step sizes and all other weights in float32."""
        others = self.weights - self.quantized_weights - self.folded_weights
        return packed_bytes(self.code_bits) + FLOAT_BYTES * (self.step_sizes + others)

    @property
    def ratio(self) -> float:
        """How many times smaller than in float32."""
        return self.float_bytes / self.packed_bytes


def packed_bytes(bits: int) -> int:
    """Whole bytes that hold `bits` bits."""
    return math.ceil(bits / 8)


def model_size(model: keras.Model, *, fold_batch_norm: bool = False) -> ModelSize:
    """Adds up the size of a model.

    Args:
        model: any Keras 3 model; layers that quantize now count by their codes.
        fold_batch_norm: count each BatchNorm as the one bias a channel that it becomes when it is
            folded into the convolution before it (its scale goes into the step size). The float
            size stays that of the model as it is.
    """
    quantized = [
        (weight, quantizer, variables)
        for wrapper in quantize_wrappers(model)
        if wrapper.holds_codes
        for weight, quantizer, variables in wrapper.quantized_weights
    ]
    layers = model._flatten_layers(include_self=False) if fold_batch_norm else ()
    return ModelSize(
        weights=sum(_count(v) for v in model.weights if not is_step_size(v)),
        quantized_weights=sum(_count(weight) for weight, _, _ in quantized),
        code_bits=sum(_count(weight) * quantizer.bits for weight, quantizer, _ in quantized),
        step_sizes=sum(quantizer.scales(variables) for _, quantizer, variables in quantized),
        folded_weights=sum(_folded_away(layer) for layer in layers),
    )


def entropy_bits_per_weight(model: keras.Model) -> float:
    """Bits a quantized weight that an ideal entropy coder needs, with one table of codes a layer.

    Args:
        model: a model with layers that quantize now.

    Raises:
        ValueError: if there is none.
    """
    codes = [
        quantizer.codes(weight, variables).numpy()
        for wrapper in quantize_wrappers(model)
        if wrapper.holds_codes
        for weight, quantizer, variables in wrapper.quantized_weights
    ]
    if not codes:
        raise ValueError(f"model {model.name!r} has no layer that quantizes now")
    return mean_entropy(codes)


def mean_entropy(layers: Sequence[np.ndarray]) -> float:
    """Entropy of the codes of several layers, in bits a code, each with a table of its own."""
    return sum(entropy(codes) * codes.size for codes in layers) / sum(c.size for c in layers)


def entropy(codes: np.ndarray) -> float:
    """Entropy of the values in an integer array, in bits each."""
    _, counts = np.unique(codes, return_counts=True)
    share = counts / codes.size
    return float(-np.sum(share * np.log2(share)))


def _count(variable: keras.Variable) -> int:
    return math.prod(variable.shape)


def _folded_away(layer: keras.layers.Layer) -> int:
    if not isinstance(layer, keras.layers.BatchNormalization):
        return 0
    return sum(_count(v) for v in layer.weights) - layer.weights[0].shape[0]
