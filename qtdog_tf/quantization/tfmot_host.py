"""The same quantizer under TFMOT itself, for pipelines that still run on `tf_keras`.

TFMOT's default scheme is not weights-only: it also quantizes the input and the outputs of layers
next to annotated ones, and moves layers around. `WeightsOnlyScheme` does neither. TFMOT has no
"off": quantization runs from `quantize_apply` on, so the step sizes are set right there. INQ and
uniform noise run there too: `fix_weights`, and `quantizer.step = model.optimizer.iterations` for
the quantizers of `quantized_weights`.

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
from qtdog_tf.quantization.inq_quantizer import INQWeightQuantizer
from qtdog_tf.quantization.quantize_config import WeightQuantizeConfig
from qtdog_tf.quantization.quantizer import LSQWeightQuantizer, WeightQuantizer
from qtdog_tf.quantization.uniform_noise import UniformNoiseQuantizer

# What `quantize_scope` has to know.
CUSTOM_OBJECTS = {
    "WeightQuantizeConfig": WeightQuantizeConfig,
    "LSQWeightQuantizer": LSQWeightQuantizer,
    "INQWeightQuantizer": INQWeightQuantizer,
    "UniformNoiseQuantizer": UniformNoiseQuantizer,
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


def quantized_weights(model: Any) -> list[tuple[Any, WeightQuantizer, dict[str, Any]]]:
    """(weight, quantizer, its variables) of every weight that a quantizer of this package has.

    Args:
        model: a `tf_keras` model out of `quantize_apply`.

    Raises:
        ValueError: if there is none.
    """
    found = [
        entry
        for layer in model.layers
        for entry in getattr(layer, "_weight_vars", ())
        if isinstance(entry[1], WeightQuantizer)
    ]
    if not found:
        raise ValueError(f"model {model.name!r} has no layer with a quantizer of qtdog_tf")
    return found


def initialize_step_sizes(model: Any) -> None:
    """Sets the step sizes, or what stands in their place, from the present weights.

    Args:
        model: see `quantized_weights`; it must not have been trained since `quantize_apply`, or its
            step sizes start over. Under INQ no weight is fixed afterwards, see `fix_weights`.

    Raises:
        ValueError: if no layer has a quantizer of this package.
    """
    for weight, quantizer, variables in quantized_weights(model):
        quantizer.attach(weight)
        quantizer.initialize(weight, variables)


def fix_weights(model: Any, portion: float) -> None:
    """INQ: fixes the largest weights of every layer, see `INQWeightQuantizer.fix`.

    Args:
        model: see `quantized_weights`; initialized. Compile it again before training goes on.
        portion: 0 to 1, of all weights of a layer.
    """
    for weight, quantizer, variables in quantized_weights(model):
        if isinstance(quantizer, INQWeightQuantizer):
            quantizer.fix(weight, variables, portion)
