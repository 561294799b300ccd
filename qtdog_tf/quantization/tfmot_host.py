"""The same quantizer under TFMOT itself, for pipelines that still run on `tf_keras`.

TFMOT's default scheme is not weights-only: it also quantizes the input and the outputs of layers
next to annotated ones, and moves layers around. `WeightsOnlyScheme` does neither. TFMOT has no
"off": quantization runs from `quantize_apply` on, so the step sizes are set right there.

    import tensorflow_model_optimization as tfmot  # after qtdog_tf
    api = tfmot.quantization.keras
    config = WeightQuantizeConfig(LSQWeightQuantizer(bits=7))
    x = api.quantize_annotate_layer(tf_keras.layers.Conv2D(8, 3), config)(image)
    ...
    with api.quantize_scope(CUSTOM_OBJECTS):
        model = api.quantize_apply(model, WeightsOnlyScheme())
    initialize_step_sizes(model)
"""

from typing import Any

from qtdog_tf._tfmot import QuantizeLayoutTransform, QuantizeRegistry, QuantizeScheme
from qtdog_tf.quantization.quantize_config import WeightQuantizeConfig
from qtdog_tf.quantization.quantizer import LSQWeightQuantizer

# What `quantize_scope` has to know.
CUSTOM_OBJECTS = {
    "WeightQuantizeConfig": WeightQuantizeConfig,
    "LSQWeightQuantizer": LSQWeightQuantizer,
}


class WeightsOnlyScheme(QuantizeScheme):
    """Quantizes what is annotated with a `QuantizeConfig`, and leaves all else as it is."""

    def get_layout_transformer(self) -> QuantizeLayoutTransform:
        """A transform that changes nothing."""
        return _IdentityTransform()

    def get_quantize_registry(self) -> QuantizeRegistry:
        """A registry that knows no layer."""
        return _EmptyRegistry()


class _IdentityTransform(QuantizeLayoutTransform):
    def apply(self, model: Any, layer_quantize_map: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return model, layer_quantize_map


class _EmptyRegistry(QuantizeRegistry):
    def supports(self, layer: Any) -> bool:
        return False

    def get_quantize_config(self, layer: Any) -> None:
        return None


def initialize_step_sizes(model: Any) -> None:
    """Sets the step sizes of a `tf_keras` model out of `quantize_apply` from its weights.

    Args:
        model: the model; it must not have been trained since, or its step sizes start over.

    Raises:
        ValueError: if no layer has an `LSQWeightQuantizer`.
    """
    quantized = [
        entry
        for layer in model.layers
        for entry in getattr(layer, "_weight_vars", ())
        if isinstance(entry[1], LSQWeightQuantizer)
    ]
    if not quantized:
        raise ValueError(f"model {model.name!r} has no layer with an LSQWeightQuantizer")
    for weight, quantizer, variables in quantized:
        quantizer.initialize(weight, variables)
