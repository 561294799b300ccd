"""Annotate and apply, in TFMOT's vocabulary, for Keras 3 models.

`quantize_annotate` marks layers, `quantize_apply` replaces the marks by `QuantizeWrapper`s with
quantization still off. In between a user may look at the marks, or set some by hand with
`quantize_annotate_layer` while building a model. `quantize` does both steps at once:

    model = quantize(keras.applications.MobileNetV2(classes=7, weights=None), bits=7)
"""

from collections.abc import Callable
from typing import Any

import keras

from qtdog_tf.errors import UserError
from qtdog_tf.quantization.quantize_config import WeightQuantizeConfig
from qtdog_tf.quantization.quantizer import LSQWeightQuantizer
from qtdog_tf.quantization.rebuild import copy_layer, rebuild, remember_float_reason
from qtdog_tf.quantization.wrapper import ConfiguredWrapper, QuantizeWrapper

QUANTIZABLE = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)

# A rule looks at a layer and returns why it stays float, or None to have it quantized.
LayerRule = Callable[[keras.layers.Layer], str | None]


def convolutions(layer: keras.layers.Layer) -> str | None:
    """The default rule, and the paper's for ResNets: every convolution, the stem included."""
    if isinstance(layer, keras.layers.Dense):
        return "dense layers stay float under the rule 'convolutions'"
    return None


def all_but(*names: str) -> LayerRule:
    """A rule that quantizes every convolution and dense layer but those named (the head)."""

    def rule(layer: keras.layers.Layer) -> str | None:
        return "named as an exception" if layer.name in names else None

    return rule


def channel_axes(layer: keras.layers.Layer) -> tuple[int, ...]:
    """The axes of the layer's kernel that run over its output channels."""
    return (-2, -1) if isinstance(layer, keras.layers.DepthwiseConv2D) else (-1,)


@keras.saving.register_keras_serializable("qtdog_tf")
class QuantizeAnnotate(ConfiguredWrapper):
    """Marks a layer for `quantize_apply`; computes what the layer computes.

    Args:
        layer: the layer.
        quantize_config: how it will be quantized.
    """

    def __init__(
        self, layer: keras.layers.Layer, quantize_config: WeightQuantizeConfig, **kwargs: Any
    ) -> None:
        kwargs.setdefault("name", f"annotated_{layer.name}")
        kwargs.setdefault("dtype", layer.dtype_policy)
        super().__init__(layer, quantize_config, **kwargs)

    def call(self, inputs: Any, **kwargs: Any) -> Any:
        """The layer's output."""
        return self.layer(inputs, **kwargs)


def quantize_annotate_layer(
    layer: keras.layers.Layer,
    *,
    bits: int = 7,
    per_channel: bool = True,
    narrow_range: bool | None = None,
    init: str = "mean",
    grad_scale: str = "tensor",
) -> QuantizeAnnotate:
    """Marks one layer for quantization.

    Args:
        layer: a Conv2D, DepthwiseConv2D or Dense layer of Keras 3.
        bits: bit width of the codes, 2 to 8. Default 7.
        per_channel: one step size per output channel (default), or one for the layer.
        narrow_range: see `LSQWeightQuantizer`. Default: true at 8 bits only.
        init: see `LSQWeightQuantizer`. Default "mean".
        grad_scale: see `LSQWeightQuantizer`. Default "tensor".

    Returns:
        The layer in a `QuantizeAnnotate`.

    Raises:
        UserError: if the layer is of another type.
        ValueError: for a value outside those named.
    """
    if not isinstance(layer, QUANTIZABLE):
        raise UserError(
            f"layer {layer.name!r} is a {type(layer).__name__}, and only Conv2D, DepthwiseConv2D "
            "and Dense layers of Keras 3 can be quantized"
        )
    quantizer = LSQWeightQuantizer(
        bits=bits,
        channel_axes=channel_axes(layer) if per_channel else (),
        narrow_range=narrow_range,
        init=init,
        grad_scale=grad_scale,
    )
    return QuantizeAnnotate(layer, WeightQuantizeConfig(quantizer))


def quantize_annotate(
    model: keras.Model, rule: LayerRule = convolutions, **quantizer: Any
) -> keras.Model:
    """Marks the layers of a model that `rule` picks.

    Args:
        model: a functional, sequential or nested Keras 3 model.
        rule: returns why a layer stays float, or None. Default: every convolution is quantized.
        **quantizer: settings for `quantize_annotate_layer`, the same for every layer.

    Returns:
        A new model with the weights and trainable flags of `model`.

    Raises:
        UserError: for a subclassed model, a model of tf_keras, or if nothing is to be quantized.
    """
    marked = 0

    def mark(layer: keras.layers.Layer) -> keras.layers.Layer:
        nonlocal marked
        copy = copy_layer(layer)
        if not isinstance(layer, QUANTIZABLE):
            return copy
        reason = rule(layer)
        if reason is not None:
            remember_float_reason(copy, reason)
            return copy
        marked += 1
        return quantize_annotate_layer(copy, **quantizer)

    annotated = rebuild(model, mark)
    if not marked:
        raise UserError(f"model {model.name!r} has no layer that the rule lets quantize")
    return annotated


def quantize_apply(model: keras.Model) -> keras.Model:
    """Makes every marked layer quantizable, with quantization off until it is started.

    Call it before `compile`.

    Args:
        model: a model with layers marked by `quantize_annotate` or `quantize_annotate_layer`.

    Returns:
        A new model with the weights and trainable flags of `model`.

    Raises:
        UserError: if no layer is marked, or for a subclassed model.
    """
    applied = 0

    def wrap(layer: keras.layers.Layer) -> keras.layers.Layer:
        nonlocal applied
        copy = copy_layer(layer)
        if not isinstance(copy, QuantizeAnnotate):
            return copy
        applied += 1
        return QuantizeWrapper(copy.layer, copy.quantize_config)

    wrapped = rebuild(model, wrap)
    if not applied:
        raise UserError(f"model {model.name!r} has no annotated layer: run quantize_annotate first")
    return wrapped


def quantize(model: keras.Model, rule: LayerRule = convolutions, **quantizer: Any) -> keras.Model:
    """`quantize_annotate` and `quantize_apply` in one call; see there for arguments and errors."""
    return quantize_apply(quantize_annotate(model, rule, **quantizer))
