"""The start of quantization: switching a wrapped model over in the middle of training."""

from collections.abc import Callable

import keras
import numpy as np

from qtdog_tf.quantization.quantize_config import WeightQuantizeConfig
from qtdog_tf.quantization.quantizer import WeightQuantizer
from qtdog_tf.quantization.wrapper import QUANTIZING_MODES, check_mode, quantize_wrappers

# Makes the quantizer of a wrapped layer from the model, the number of the layer in it, and the
# quantizer that the layer has.
MakeQuantizer = Callable[[keras.Model, int, WeightQuantizer], WeightQuantizer]


def start_quantization(
    model: keras.Model,
    mode: str = "train",
    make_quantizer: MakeQuantizer | None = None,
    *,
    keep_step_sizes: bool = False,
) -> None:
    """Initialises the step sizes from the present weights and switches every wrapper to `mode`.

    Optimizer slots, BatchNorm state and iteration count stay as they are. The train, test and
    predict functions are made anew: without that, the float graph would go on silently. The same
    holds for whatever else was traced before, a `tf.function` of the caller or another model that
    shares the layers: trace it again (for a model, `rebuild_functions`). Nothing happens if
    every wrapper is in `mode` already and that is one without quantization.

    A `.keras` file keeps the mode. Keras makes the slots of a loaded optimizer for what is
    trainable then: in the modes "frozen" and "frozen_float" it warns that it skips their state.

    Args:
        model: a model out of `quantize_apply`.
        mode: "train", "frozen", "off" or "frozen_float", see `QuantizeWrapper`.
        make_quantizer: makes the quantizer that each layer gets instead of its own: noise, for
            example. Default: each keeps its own.
        keep_step_sizes: whether step sizes stay what they are, for a model that got those of an
            earlier quantized run back, see `has_step_sizes`. Default: they are initialised.

    Raises:
        ValueError: for an unknown mode, or a model without a wrapped layer.
    """
    check_mode(mode)
    wrappers = quantize_wrappers(model)
    if not wrappers:
        raise ValueError(
            f"model {model.name!r} has no quantizable layer: pass it through quantize_apply first"
        )
    if all(wrapper.mode == mode for wrapper in wrappers) and mode in ("off", "frozen_float"):
        return
    replace_quantizers(model, make_quantizer)
    for wrapper in wrappers:
        wrapper.set_mode(mode)
        if mode in QUANTIZING_MODES and not keep_step_sizes:
            wrapper.initialize_step_sizes()
    rebuild_functions(model)


def replace_quantizers(model: keras.Model, make_quantizer: MakeQuantizer | None) -> None:
    """Gives every wrapped layer the quantizer that `make_quantizer` makes, if there is one.

    Functions that were already traced do not notice.
    """
    if make_quantizer is None:
        return
    # Variables that a quantizer makes belong on the devices of the model's.
    with model.distribute_strategy.scope():
        for number, wrapper in enumerate(quantize_wrappers(model)):
            quantizer = make_quantizer(model, number, wrapper.quantize_config.quantizer)
            wrapper.replace_quantizer(WeightQuantizeConfig(quantizer))


def rebuild_functions(model: keras.Model) -> None:
    """Makes the functions that Keras traced for `model`, or for a model in it, anew."""
    for part in model._flatten_layers(include_self=True, recursive=True):
        if isinstance(part, keras.Model):
            for name in ("train", "test", "predict"):
                if getattr(part, f"{name}_function") is not None:
                    getattr(part, f"make_{name}_function")(force=True)


def has_step_sizes(model: keras.Model) -> bool:
    """Whether any step size has been initialised, learned or loaded: before, all are 1."""
    return any(
        np.any(variable.numpy() != 1)
        for wrapper in quantize_wrappers(model)
        for _, _, variables in wrapper.quantized_weights
        for variable in variables.values()
    )


def is_quantized(model: keras.Model) -> bool:
    """Whether any layer of the model has a code for each of its weights now."""
    return any(wrapper.holds_codes for wrapper in quantize_wrappers(model))
