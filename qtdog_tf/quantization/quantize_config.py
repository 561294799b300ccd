"""Which weight of a layer is quantized, on TFMOT's `QuantizeConfig` interface.

Serves Keras 3 layers (through `QuantizeWrapper`) and `tf_keras` layers (through TFMOT).
"""

from typing import Any

import keras

from qtdog_tf._tfmot import QuantizeConfig
from qtdog_tf.quantization.quantizer import WeightQuantizer


def kernel_attribute(layer: Any) -> str:
    """Name of the attribute that holds the layer's kernel and may be replaced.

    Keras 3 shows the kernel of Conv and Dense as a read-only property over `_kernel`;
    DepthwiseConv2D has a plain `kernel`; tf_keras calls that one `depthwise_kernel`.

    Raises:
        ValueError: if the layer has no kernel.
    """
    for name in ("_kernel", "depthwise_kernel", "kernel"):
        if getattr(layer, name, None) is not None:
            return name
    raise ValueError(f"layer {layer.name!r} ({type(layer).__name__}) has no built kernel")


@keras.saving.register_keras_serializable("qtdog_tf")
class WeightQuantizeConfig(QuantizeConfig):
    """Quantizes the kernel of a Conv2D, DepthwiseConv2D or Dense layer; activations stay float.

    Args:
        quantizer: the quantizer of the kernel.
    """

    def __init__(self, quantizer: WeightQuantizer) -> None:
        self.quantizer = quantizer

    def get_weights_and_quantizers(self, layer: Any) -> list[tuple[Any, WeightQuantizer]]:
        """The kernel and its quantizer."""
        return [(getattr(layer, kernel_attribute(layer)), self.quantizer)]

    def set_quantize_weights(self, layer: Any, quantize_weights: list[Any]) -> None:
        """Puts a tensor (or the variable again) where the layer reads its kernel.

        Past the attribute tracking of both Keras versions, which would refuse a tensor in place
        of a variable.
        """
        object.__setattr__(layer, kernel_attribute(layer), quantize_weights[0])

    def get_activations_and_quantizers(self, layer: Any) -> list[Any]:
        """None: the method quantizes weights only."""
        return []

    def set_quantize_activations(self, layer: Any, quantize_activations: list[Any]) -> None:
        """Nothing to set."""
        return  # AutoGraph cannot convert a function that is only a docstring.

    def get_output_quantizers(self, layer: Any) -> list[Any]:
        """None: the method quantizes weights only."""
        return []

    def get_config(self) -> dict[str, Any]:
        """The constructor's argument, serialized."""
        return {"quantizer": keras.saving.serialize_keras_object(self.quantizer)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "WeightQuantizeConfig":
        """The inverse of `get_config`."""
        quantizer = config["quantizer"]
        if isinstance(quantizer, dict):
            quantizer = keras.saving.deserialize_keras_object(quantizer)
        return cls(quantizer)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WeightQuantizeConfig) and self.quantizer == other.quantizer

    def __hash__(self) -> int:
        return hash(self.quantizer)
