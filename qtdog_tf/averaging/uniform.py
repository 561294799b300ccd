"""DiWA: one model whose weights are the mean of those of several runs (method, section 4).

That works for runs that start from the same weights. A run notes `initialization_fingerprint` of
the weights that its model is built with, and whoever picks the runs compares; trained models no
longer tell.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from qtdog_tf.errors import UserError
from qtdog_tf.quantization.rebuild import copy_layer, rebuild
from qtdog_tf.quantization.wrapper import QuantizeWrapper

# What may differ between runs, since a trained model does not compute with it.
_OF_TRAINING = ("name", "trainable", "seed")
_OF_TRAINING_ENDINGS = ("_initializer", "_regularizer", "_constraint")


def average_models(models: Sequence[keras.Model]) -> keras.Model:
    """Builds a model whose weights are the uniform mean of the models' weights.

    Latent weights and step sizes are averaged apart. So a quantized average is on a lattice: its
    layers run on codes times step sizes, as those of every quantized model. The mean is taken in
    float64 and then rounded, so weights that are equal in all models, such as frozen statistics of
    batch norm, stay as they are. Statistics that learned are averaged like weights, and do not fit
    the averaged ones: measure them anew, see `qtdog_tf.training.batch_statistics`. Variables that
    are not floats come from the first model.

    Args:
        models: one or more functional or sequential models of the same layers in the same order,
            bits and modes. Names, dropout, initializers and regularizers may differ.

    Returns:
        A new model like the first. The models are not changed.

    Raises:
        UserError: if there is no model, or one differs from the first, or cannot be copied.

    Example:

        average = average_models([keras.saving.load_model(path) for path in paths])
    """
    if not models:
        raise UserError("there is no model to average")
    average = rebuild(models[0], copy_layer)
    for number, model in enumerate(models):
        _check_like_first(number, model, models[0])
    for variable, *values in zip(average.weights, *(m.weights for m in models), strict=True):
        if keras.backend.is_float_dtype(variable.dtype):
            variable.assign(sum(np.asarray(v.numpy(), np.float64) for v in values) / len(values))
    for layer in average._flatten_layers(include_self=False, recursive=True):
        # `Normalization` computes with what it derived from its weights when it was built.
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
    return average


def initialization_fingerprint(model: keras.Model) -> str:
    """A digest of a model's weights; runs may be averaged if theirs were equal at the beginning.

    Args:
        model: built, before the first step.

    Returns:
        SHA-256 of dtypes, shapes and values of all weights in order, 64 hexadecimal digits. Names
        do not matter.
    """
    digest = hashlib.sha256()
    for variable in model.weights:
        value = np.ascontiguousarray(variable.numpy())
        digest.update(f"{value.dtype}{tuple(variable.shape)}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def _check_like_first(number: int, model: keras.Model, first: keras.Model) -> None:
    ours, theirs = _layers(model), _layers(first)
    if len(ours) != len(theirs):
        raise UserError(
            f"model {number} of the average has {len(ours)} layers and model 0 has {len(theirs)}: "
            "only models of the same structure can be averaged"
        )
    for mine, other in zip(ours, theirs, strict=True):
        quantization = [_quantization(layer) for layer in (mine, other)]
        if quantization[0] != quantization[1]:
            raise UserError(
                f"layer {mine.name!r} of model {number} of the average is {quantization[0]}, and "
                f"{other.name!r} of model 0 is {quantization[1]}: they must be quantized alike"
            )
        if _description(mine) != _description(other):
            raise UserError(
                f"layer {mine.name!r} of model {number} of the average differs from {other.name!r} "
                "of model 0 in its kind, settings or shapes: only models of the same structure "
                "can be averaged"
            )


def _layers(model: keras.Model) -> list[Any]:
    """Layers and operations in order, those of models in the model too; dropout left out."""
    found: list[Any] = []
    # The layers of a functional model leave out its operations (`x + y`).
    for layer in getattr(model, "operations", model.layers):
        if isinstance(layer, keras.Model):
            found += _layers(layer)
        elif not isinstance(layer, keras.layers.Dropout):
            found.append(layer)
    return found


def _quantization(layer: Any) -> str:
    if not isinstance(layer, QuantizeWrapper):
        return "not quantizable"
    quantizers = [quantizer.get_config() for _, quantizer, _ in layer.quantized_weights]
    return f"in mode {layer.mode!r} with {quantizers}"


def _description(layer: Any) -> tuple[Any, ...]:
    weights = [(tuple(v.shape), v.dtype) for v in getattr(layer, "weights", [])]
    shape = tuple(layer.output.shape) if isinstance(layer.output, keras.KerasTensor) else None
    return type(layer), weights, shape, _settings(layer.get_config())


def _settings(value: Any) -> Any:
    """A configuration without what only concerns training."""
    if isinstance(value, dict):
        return {
            key: _settings(inner)
            for key, inner in value.items()
            if key not in _OF_TRAINING and not str(key).endswith(_OF_TRAINING_ENDINGS)
        }
    if isinstance(value, list | tuple):
        return [_settings(inner) for inner in value]
    return value
