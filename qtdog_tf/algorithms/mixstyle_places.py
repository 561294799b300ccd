"""Putting `MixStyle` layers into a model before it is trained, and taking them out afterwards."""

from collections.abc import Sequence
from typing import Any

import keras

from qtdog_tf.algorithms.mixstyle import MixStyle
from qtdog_tf.errors import UserError
from qtdog_tf.quantization.rebuild import copy_layer

# The ends of the first three stages: of ResNets conv2_x to conv4_x, as in DomainBed.
PLACES = {
    "resnet18": ("layer1_1_relu", "layer2_1_relu", "layer3_1_relu"),
    "resnet50": ("layer1_2_relu", "layer2_3_relu", "layer3_5_relu"),
    "resnext50_32x4d": ("layer1_2_relu", "layer2_3_relu", "layer3_5_relu"),
    "efficientnet_lite0": ("block1a_project_bn", "block2b_add", "block3b_add"),
    "applications/MobileNetV2": ("expanded_conv_project_BN", "block_2_add", "block_5_add"),
    "applications/MobileNetV3Small": (
        "expanded_conv_project_bn",
        "expanded_conv_2_add",
        "expanded_conv_7_add",
    ),
    "applications/MobileNetV3Large": (
        "expanded_conv_add",
        "expanded_conv_2_add",
        "expanded_conv_5_add",
    ),
    "tiny": ("stem_relu", "block_add", "top_relu"),
}
# Transformers: a token is no place of a feature map whose statistics would be a style.
_WITHOUT_MAPS = ("deit_small",)


def mixstyle_places(backbone: str) -> tuple[str, ...]:
    """The layers of a backbone behind which MixStyle stands.

    Args:
        backbone: its name, see `build_backbone`.

    Raises:
        UserError: for a backbone that has no known places, or none at all.
    """
    if backbone in _WITHOUT_MAPS:
        raise UserError(
            f"MixStyle mixes statistics of feature maps, and {backbone} has tokens instead: choose "
            "another --algorithm or a convolutional --backbone"
        )
    if backbone not in PLACES:
        raise UserError(
            f"where MixStyle stands is known for the backbones {', '.join(PLACES)}; for "
            f"{backbone!r} set mixstyle_layers to the names of the layers that should have it "
            "behind them, separated by commas (the ends of the first stages)"
        )
    return PLACES[backbone]


def insert_mixstyle(
    model: keras.Model,
    layer_names: Sequence[str],
    *,
    probability: float = 0.5,
    alpha: float = 0.1,
    domains: int = 1,
    seed: int = 0,
) -> keras.Model:
    """A copy of a model with a `MixStyle` layer behind each of some layers.

    Call it before `quantize`.

    Args:
        model: a flat functional model.
        layer_names: layers whose output is [batch, height, width, channels].
        probability: see `MixStyle`.
        alpha: see `MixStyle`.
        domains: see `MixStyle`.
        seed: each layer draws from a seed of its own, made from this one.

    Returns:
        A model with the weights and trainable flags of `model`.

    Raises:
        UserError: if the model has no such layer, or the layer another kind of output.
    """
    for name in layer_names:
        shape = _output_shape(model, name)
        if len(shape) != 4:
            raise UserError(
                f"MixStyle needs feature maps [batch, height, width, channels]; layer {name!r} "
                f"has {tuple(shape)}"
            )

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        output = layer(*args, **kwargs)
        if layer.name not in layer_names:
            return output
        number = list(layer_names).index(layer.name)
        mixstyle = MixStyle(
            probability, alpha, domains, seed + number, name=f"mixstyle_{layer.name}"
        )
        return mixstyle(output)

    return _copy(model, call)


def without_mixstyle(model: keras.Model) -> keras.Model:
    """The model without its `MixStyle` layers, for inference, where they do nothing.

    Args:
        model: a functional model.

    Returns:
        A copy with the weights of `model`; if it has no such layer, a model of the same layers.
    """
    plain = keras.Model(model.input, model.output, name=model.name)
    if not any(isinstance(layer, MixStyle) for layer in plain.layers):
        return plain

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        return args[0] if isinstance(layer, MixStyle) else layer(*args, **kwargs)

    return _copy(plain, call)


def _output_shape(model: keras.Model, name: str) -> Any:
    if name not in [layer.name for layer in model.layers]:
        raise UserError(f"model {model.name!r} has no layer {name!r} to put MixStyle behind")
    return model.get_layer(name).output.shape


def _copy(model: keras.Model, call: Any) -> keras.Model:
    """A copy of a model whose layers are called by `call`; layers of the same name are alike."""
    copy = keras.models.clone_model(model, clone_function=copy_layer, call_function=call)
    layers = {layer.name: layer for layer in model.layers}
    for target in copy.layers:
        if target.name in layers:
            for old, new in zip(layers[target.name].variables, target.variables, strict=True):
                new.assign(old)
                new.trainable = old.trainable
    return copy
