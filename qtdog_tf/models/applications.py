"""Any image network of `keras.applications` as a backbone that takes raw pixels.

Each family there expects its pixels prepared in its own way, by a `preprocess_input` function
outside the model. That function is asked what it does, and the answer becomes layers of the model.

Start with `application`.
"""

import difflib
import functools
import inspect
import os
import re
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from qtdog_tf.child import HDF5_CHILD, what_is_wrong
from qtdog_tf.errors import UserError
from qtdog_tf.models.batch_norm import FrozenBatchNormalization
from qtdog_tf.models.depthwise import FastDepthwiseConv2D
from qtdog_tf.models.grouped import FastGroupedConv2D
from qtdog_tf.models.pointwise import FastConv2D

PREFIX = "applications/"


@keras.saving.register_keras_serializable(package="qtdog_tf")
class ReverseChannels(keras.layers.Layer):
    """Turns RGB into BGR, the order of the networks that came from Caffe (VGG, ResNet v1)."""

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Reverses the last axis."""
        return keras.ops.flip(inputs, axis=-1)


def application(
    name: str, image_size: int, *, weights: str | Path | None, freeze_batch_norm: bool = True
) -> keras.Model:
    """Builds a network of `keras.applications` without its classifier.

    Args:
        name: of the function there, e.g. "MobileNetV2".
        image_size: height and width of the input in pixels.
        weights: None for random weights, "imagenet" (downloaded by Keras at first use), or the
            path of a weights file of this network without its top.
        freeze_batch_norm: whether the batch norm statistics stay fixed in training.

    Returns:
        A functional model from 'image' (raw pixels 0..255, float32 [S, S, 3]) to pooled features.
        Layers that Keras numbers are numbered from the start, whatever was built before.

    Raises:
        UserError: if there is no such network, the size is too small, or the weights are not to be
            had or of another architecture.
    """
    builder = _builder(name)
    if weights not in (None, "imagenet"):
        _check_weights_path(name, builder, Path(str(weights)))
    try:
        model = builder(
            include_top=False,
            weights=None if weights is None else str(weights),
            input_tensor=keras.Input((image_size, image_size, 3), name="image"),
            input_shape=(image_size, image_size, 3),
            pooling="avg",
        )
    except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{PREFIX}{name} cannot be built for {image_size} px with weights={weights}: {reason}"
        ) from error
    except Exception as error:  # keras.utils.get_file raises this very class
        if type(error) is not Exception:
            raise
        raise UserError(_download_help(name, str(error))) from error
    return _copy(model, preprocessing_layers(name), freeze_batch_norm)


def application_names() -> list[str]:
    """Returns the names of all image networks in `keras.applications`."""
    functions = inspect.getmembers(keras.applications, inspect.isfunction)
    return [name for name, function in functions if "include_top" in _arguments(function)]


def preprocessing_layers(name: str) -> list[keras.layers.Layer]:
    """Returns the layers that do to pixels 0..255 what the network's `preprocess_input` does.

    Args:
        name: of a network, as in `application`.
    """
    preprocess = sys.modules[_builder(name).__module__].preprocess_input
    black = np.zeros((1, 1, 1, 3))
    offset = preprocess(black.copy(), data_format="channels_last").ravel()
    pure = [np.eye(3)[c].reshape(1, 1, 1, 3) * 255 for c in range(3)]
    # Row c: what one unit of input channel c adds to each output channel.
    matrix = np.stack([preprocess(p, data_format="channels_last").ravel() - offset for p in pure])
    layers: list[keras.layers.Layer] = []
    if not np.any(np.diag(matrix)[[0, 2]]):
        matrix = matrix[::-1]
        layers.append(ReverseChannels(name="to_bgr"))
    scale = np.diag(matrix) / 255
    if np.any(scale != 1) or np.any(offset != 0):
        layers.append(keras.layers.Rescaling(scale.tolist(), offset.tolist(), name="normalize"))
    return layers


def _builder(name: str) -> Callable[..., keras.Model]:
    """The function that builds a network."""
    names = application_names()
    if name in names:
        return getattr(keras.applications, name)
    close = difflib.get_close_matches(name, names, n=4, cutoff=0.4) or names
    raise UserError(
        f"keras.applications has no image network {name!r}; did you mean "
        + " or ".join(PREFIX + n for n in close)
        + "?"
    )


def _arguments(function: Callable[..., object]) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)


def _check_weights_path(name: str, builder: Callable[..., keras.Model], path: Path) -> None:
    """Refuses files that are not there, or that Keras would load wrongly."""
    if not path.is_file():
        raise UserError(f"there is no weights file {path}")
    if builder.__module__.endswith(".efficientnet"):
        # Keras adds a layer that undoes a mistake in these files, but for weights="imagenet" only.
        raise UserError(
            f"{PREFIX}{name} takes weights='imagenet' or None: save its file under {_cache()} "
            "and Keras will find it there"
        )
    refused = what_is_wrong(HDF5_CHILD, str(path)) if path.suffix in (".h5", ".keras") else None
    if refused is not None:
        raise UserError(f"{PREFIX}{name} cannot be built with weights={path}: {refused}")


def _download_help(name: str, error: str) -> str:
    """Says which file to get when the download failed."""
    url = re.search(r"https?://\S+?(?=:? |:?$)", error)
    what = url.group().rstrip(":") if url else "the file"
    return (
        f"the ImageNet weights of {PREFIX}{name} could not be downloaded: fetch {what} elsewhere "
        f"and save it under {_cache()}, or hand in another weights file by its path"
    )


def _cache() -> Path:
    """The folder in which Keras looks for weights before it downloads them."""
    return Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models"


def _copy(
    model: keras.Model, preprocessing: list[keras.layers.Layer], freeze_batch_norm: bool
) -> keras.Model:
    """Rebuilds a model with preprocessing, our layers, and names that depend on itself alone."""
    names = _canonical_names(model)
    kinds: dict[type, Any] = {
        keras.layers.Conv2D: FastConv2D,
        keras.layers.DepthwiseConv2D: FastDepthwiseConv2D,
    }
    if freeze_batch_norm:
        kinds[keras.layers.BatchNormalization] = FrozenBatchNormalization
    pairs: list[tuple[keras.layers.Layer, keras.layers.Layer]] = []

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = {**layer.get_config(), "name": names.get(id(layer), layer.name)}
        kind = kinds.get(type(layer), type(layer))
        if kind is FastConv2D and layer.groups > 1:
            kind = FastGroupedConv2D
        pairs.append((layer, kind.from_config(config)))
        return pairs[-1][1]

    def call(
        layer: keras.layers.Layer, *args: keras.KerasTensor, **kwargs: object
    ) -> keras.KerasTensor:
        if getattr(args[0], "name", None) == "image":
            args = (functools.reduce(lambda x, layer: layer(x), preprocessing, args[0]), *args[1:])
        return layer(*args, **kwargs)

    copy = keras.models.clone_model(model, clone_function=clone, call_function=call, recursive=True)
    for old, new in pairs:
        if isinstance(old, keras.layers.Layer):  # some nodes of a graph are mere operations
            new.set_weights(old.get_weights())
    return keras.Model(copy.inputs[0], copy.outputs[0], name=model.name)


def _canonical_names(model: keras.Model) -> dict[int, str]:
    """Numbers the layers that Keras named itself ('conv2d_57'), in the model's own order."""
    counts: Counter[str] = Counter()
    names: dict[int, str] = {}
    for layer in model.operations:
        stem = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(layer).__name__).lower()
        stem = stem.replace("2_d", "2d")
        if re.fullmatch(rf"{stem}(_\d+)?", layer.name):
            names[id(layer)] = f"{stem}_{counts[stem]}" if counts[stem] else stem
            counts[stem] += 1
    return names
