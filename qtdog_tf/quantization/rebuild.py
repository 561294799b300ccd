"""Copies of models in which some layers are replaced, with all state of the others kept.

Keras' `clone_model` copies structure only. Start from `rebuild`.
"""

from collections.abc import Callable

import keras

from qtdog_tf.errors import UserError

_FLOAT_REASON = "_qtdog_tf_float_reason"


def remember_float_reason(layer: keras.layers.Layer, reason: str) -> None:
    """Notes on a layer why it is left float, for `float_reason`."""
    setattr(layer, _FLOAT_REASON, reason)


def float_reason(layer: keras.layers.Layer) -> str | None:
    """What the rule said when `quantize_annotate` left `layer` float.

    None if it was never asked, or if the model comes out of a file, which does not keep it.
    """
    return getattr(layer, _FLOAT_REASON, None)


def copy_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
    """A layer (or an operation, the other node of a functional model) of the same settings.

    Raises:
        UserError: if the layer's configuration does not suffice to make another.
    """
    try:
        copy = layer.__class__.from_config(layer.get_config())
    except (TypeError, NotImplementedError) as error:
        raise UserError(
            f"layer {layer.name!r} ({type(layer).__name__}) cannot be copied: its get_config must "
            "return the arguments of its constructor"
        ) from error
    reason = float_reason(layer)
    if reason is not None:
        remember_float_reason(copy, reason)
    return copy


def rebuild(
    model: keras.Model, change: Callable[[keras.layers.Layer], keras.layers.Layer]
) -> keras.Model:
    """A copy of `model` with each layer replaced by `change(layer)`, its variables copied.

    Args:
        model: a functional or sequential model of Keras 3; models in it are entered.
        change: returns a copy of a layer, or a wrapper with a `quantize_config` around one.

    Returns:
        A model of the same class, name, weights, trainable flags and seeds.

    Raises:
        UserError: for a model of another kind, or a layer that cannot be copied.
    """
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
    while isinstance(layer, keras.layers.Wrapper) and hasattr(layer, "quantize_config"):
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
