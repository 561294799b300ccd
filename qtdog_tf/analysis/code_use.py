"""How large the weights of each layer are, and how they use their codes.

Quantization at b bits offers 2^b codes; with LSQ's step sizes a layer uses about 50 of 128 at 7
bits (method, section 2.4). Start from `code_use`; `quantized_weights` says what is quantized.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from qtdog_tf.analysis.directions import norm
from qtdog_tf.analysis.weights import learned_weights
from qtdog_tf.quantization import CodeRange, QuantizeWrapper, quantize_wrappers
from qtdog_tf.quantization.quantizer import STEP_SIZE
from qtdog_tf.quantization.size import entropy


@dataclasses.dataclass(frozen=True, eq=False)
class QuantizedWeight:
    """A weight tensor that a model quantizes now.

    Attributes:
        name: of its layer, as in `LayerReport`.
        variable: the latent weight w.
        step_size: s, float32, broadcastable to w.
        codes: int32, of the shape of w.
        code_range: the codes in use.
    """

    name: str
    variable: keras.Variable
    step_size: np.ndarray
    codes: np.ndarray
    code_range: CodeRange

    @property
    def value(self) -> np.ndarray:
        """What the layer computes with, w_q = s x codes; float32."""
        return self.step_size * self.codes.astype(np.float32)


def code_use(model: keras.Model) -> dict[str, Any]:
    """Describes every kernel of a model.

    Args:
        model: quantized or float; it stays as it is.

    Returns:
        Plain values: "norm", |w| of all learned weights, dequantized; and "layers", in the model's
        order: "name", "weights" (their number), "norm", "bits", "codes_used", "codes_available",
        "entropy" (bits a weight that an ideal coder needs), "density" (share of each code, from the
        lowest to the highest). Of a float kernel the last five are None, None, None, None and [].
    """
    quantized = {id(weight.variable): weight for weight in quantized_weights(model)}

    def value(variable: keras.Variable) -> np.ndarray:
        weight = quantized.get(id(variable))
        return variable.numpy() if weight is None else weight.value

    with quantization_off(model):
        total = norm([value(variable) for variable in learned_weights(model)])
    layers = []
    for name, layer in named_layers(model):
        for variable in _kernels(layer):
            kernel = value(variable)
            use = _use(quantized.get(id(variable)))
            size = int(kernel.size)
            layers.append({"name": name, "weights": size, "norm": norm([kernel]), **use})
    return {"norm": total, "layers": layers}


def quantized_weights(model: keras.Model) -> list[QuantizedWeight]:
    """What a model quantizes now, in the model's order; nothing of a float model.

    Args:
        model: as it was trained: `dequantize` makes it a float model.
    """
    return [
        QuantizedWeight(
            name,
            variable,
            variables[STEP_SIZE].numpy(),
            quantizer.codes(variable, variables).numpy(),
            quantizer.code_range,
        )
        for name, layer in named_layers(model)
        if isinstance(layer, QuantizeWrapper) and layer.quantizes
        for variable, quantizer, variables in layer.quantized_weights
    ]


@contextlib.contextmanager
def quantization_off(model: keras.Model) -> Iterator[None]:
    """Inside, a quantized model is a float one that computes with its latent weights.

    What was frozen for quantization counts as learned. Functions that were traced before do not
    notice.
    """
    modes = [(wrapper, wrapper.mode) for wrapper in quantize_wrappers(model)]
    try:
        for wrapper, _ in modes:
            wrapper.set_mode("off")
        yield
    finally:
        for wrapper, mode in modes:
            wrapper.set_mode(mode)


def named_layers(model: keras.Model) -> Iterator[tuple[str, Any]]:
    """Every layer of a model, once, with its name in `quantization_report`; in the model's order.

    A layer comes after the names of the models and layers that it is in, for members of an ensemble
    have layers of equal names. A `QuantizeWrapper` goes by the name of what it wraps, which does
    not come again.
    """
    seen: set[int] = set()

    def walk(part: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        for layer in part._layers:
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            wraps = isinstance(layer, QuantizeWrapper)
            inner = (*path, layer.layer.name if wraps else layer.name)
            yield "/".join(inner), layer
            if not wraps:
                yield from walk(layer, inner)

    return walk(model, ())


def _kernels(layer: Any) -> list[keras.Variable]:
    if isinstance(layer, QuantizeWrapper):
        return [variable for variable, _, _ in layer.quantized_weights]
    own = (*layer._trainable_variables, *layer._non_trainable_variables)
    return [variable for variable in own if "kernel" in variable.name]


def _use(weight: QuantizedWeight | None) -> dict[str, Any]:
    if weight is None:
        unknown = dict.fromkeys(("bits", "codes_used", "codes_available", "entropy"))
        return {**unknown, "density": []}
    lowest, highest = weight.code_range.q_min, weight.code_range.q_max
    counts = np.bincount(weight.codes.ravel() - lowest, minlength=highest - lowest + 1)
    return {
        "bits": weight.code_range.bits,
        "codes_used": int(np.count_nonzero(counts)),
        "codes_available": len(counts),
        "entropy": entropy(weight.codes),
        "density": (counts / weight.codes.size).tolist(),
    }
