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
from qtdog_tf.quantization.wrapper import QuantizeWrapper

QUANTIZABLE = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)

# A rule looks at a layer and returns why it stays float, or None to have it quantized.
LayerRule = Callable[[keras.layers.Layer], str | None]

_FLOAT_REASON = "_qtdog_tf_float_reason"


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


def float_reason(layer: keras.layers.Layer) -> str | None:
    """What the rule said when `quantize_annotate` left `layer` float.

    None if it was never asked, or if the model comes out of a file, which does not keep it.
    """
    return getattr(layer, _FLOAT_REASON, None)


def channel_axes(layer: keras.layers.Layer) -> tuple[int, ...]:
    """The axes of the layer's kernel that run over its output channels."""
    return (-2, -1) if isinstance(layer, keras.layers.DepthwiseConv2D) else (-1,)


@keras.saving.register_keras_serializable("qtdog_tf")
class QuantizeAnnotate(keras.layers.Wrapper):
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
        super().__init__(layer, **kwargs)
        self.quantize_config = quantize_config
        self.supports_masking = layer.supports_masking

    def call(self, inputs: Any, **kwargs: Any) -> Any:
        """The layer's output."""
        return self.layer(inputs, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = super().get_config()
        config["quantize_config"] = keras.saving.serialize_keras_object(self.quantize_config)
        return config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "QuantizeAnnotate":
        """The inverse of `get_config`."""
        config = dict(config)
        layer = keras.saving.deserialize_keras_object(config.pop("layer"), custom_objects)
        quantize_config = keras.saving.deserialize_keras_object(
            config.pop("quantize_config"), custom_objects
        )
        return cls(layer, quantize_config, **config)


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
        copy = _copy_layer(layer)
        if not isinstance(layer, QUANTIZABLE):
            return copy
        reason = rule(layer)
        if reason is not None:
            setattr(copy, _FLOAT_REASON, reason)
            return copy
        marked += 1
        return quantize_annotate_layer(copy, **quantizer)

    annotated = _rebuild(model, mark)
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
        copy = _copy_layer(layer)
        if not isinstance(copy, QuantizeAnnotate):
            return copy
        applied += 1
        return QuantizeWrapper(copy.layer, copy.quantize_config)

    wrapped = _rebuild(model, wrap)
    if not applied:
        raise UserError(f"model {model.name!r} has no annotated layer: run quantize_annotate first")
    return wrapped


def quantize(model: keras.Model, rule: LayerRule = convolutions, **quantizer: Any) -> keras.Model:
    """`quantize_annotate` and `quantize_apply` in one call; see there for arguments and errors."""
    return quantize_apply(quantize_annotate(model, rule, **quantizer))


def _copy_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
    """A layer (or an operation, the other node of a functional model) of the same settings."""
    try:
        copy = layer.__class__.from_config(layer.get_config())
    except (TypeError, NotImplementedError) as error:
        raise UserError(
            f"layer {layer.name!r} ({type(layer).__name__}) cannot be copied: its get_config must "
            "return the arguments of its constructor"
        ) from error
    reason = float_reason(layer)
    if reason is not None:
        setattr(copy, _FLOAT_REASON, reason)
    return copy


def _rebuild(
    model: keras.Model, change: Callable[[keras.layers.Layer], keras.layers.Layer]
) -> keras.Model:
    """A copy of `model` with each layer replaced by `change(layer)`, its variables copied."""
    if not isinstance(model, keras.Model):
        raise UserError(
            f"a Keras 3 model is needed, received a {type(model).__module__}."
            f"{type(model).__name__}; for a tf_keras model use TFMOT with WeightQuantizeConfig"
        )
    if not isinstance(model, keras.Function | keras.Sequential):
        raise UserError(
            f"model {model.name!r} is a subclass of keras.Model, whose layers cannot be reached: "
            "build it with the functional or sequential API"
        )
    pairs: list[tuple[keras.layers.Layer, keras.layers.Layer]] = []

    def remember(layer: keras.layers.Layer) -> keras.layers.Layer:
        new = change(layer)
        pairs.append((layer, new))
        return new

    copy = keras.models.clone_model(model, clone_function=remember, recursive=True)
    if type(copy) is not type(model):
        raise UserError(
            f"model {model.name!r} is a {type(model).__name__}, a class whose own methods its copy "
            f"would lose: quantize a plain functional model and give it to {type(model).__name__}"
        )
    for old, new in pairs:
        if not isinstance(old, keras.layers.Layer):
            continue  # A functional model has operations (`x + y`) among its layers.
        if type(old) is not type(new):
            old, new = _bare(old), _bare(new)
        _copy_variables(old, new)
    return copy


def _bare(layer: keras.layers.Layer) -> keras.layers.Layer:
    while isinstance(layer, QuantizeAnnotate | QuantizeWrapper):
        layer = layer.layer
    return layer


def _copy_variables(source: keras.layers.Layer, target: keras.layers.Layer) -> None:
    """Copies weights, their trainable flags, and the state of random seeds."""
    for old, new in zip(source.variables, target.variables, strict=True):
        new.assign(old)
        new.trainable = old.trainable
    for layer in target._flatten_layers(include_self=True, recursive=True):
        # `Normalization` computes with what it derived from its weights when it was built.
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
