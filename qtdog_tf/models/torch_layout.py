"""Puts tensors in torch's layout into the layers of a Keras model.

Kernels are transposed (torch: output, input, height, width; Keras: height, width, input, output).
Every name and every shape is checked before the first weight is set, so that a file of another
architecture changes nothing.

Start with `load_torch_tensors`.
"""

from collections.abc import Collection, Mapping

import keras
import numpy as np

from qtdog_tf.errors import UserError

_BATCH_NORM = ("weight", "bias", "running_mean", "running_var")
_COUNTER = ".num_batches_tracked"


def load_torch_tensors(
    model: keras.Model,
    tensors: Mapping[str, np.ndarray],
    names: Mapping[str, str],
    *,
    source: str,
    ignore: Collection[str] = (),
) -> None:
    """Sets the weights of `model` from tensors in torch's layout.

    Args:
        model: holds the layers named in `names`.
        tensors: tensor name -> array.
        names: layer name -> prefix of its tensors' names.
        source: what the tensors are called in an error, e.g. their file.
        ignore: names of tensors that may be there and are not needed (the classifier).

    Raises:
        UserError: if a tensor is missing, superfluous, of another shape, or not finite.
    """
    wanted = {name: _tensor_names(model.get_layer(name), names[name]) for name in names}
    _check_names(tensors, {t for group in wanted.values() for t in group}, source, set(ignore))
    weights = {
        name: _checked_weights(model.get_layer(name), group, tensors, source)
        for name, group in wanted.items()
    }
    for name, values in weights.items():
        model.get_layer(name).set_weights(values)


def _tensor_names(layer: keras.layers.Layer, prefix: str) -> list[str]:
    """Names of a layer's tensors, in the order of its Keras weights."""
    if isinstance(layer, keras.layers.BatchNormalization):
        return [f"{prefix}.{suffix}" for suffix in _BATCH_NORM]
    return [f"{prefix}.weight", f"{prefix}.bias"][: len(layer.weights)]


def _check_names(
    tensors: Mapping[str, np.ndarray], wanted: set[str], source: str, ignore: set[str]
) -> None:
    """Raises if a wanted tensor is not there or an unknown one is."""
    missing = [name for name in sorted(wanted) if name not in tensors]
    extra = [n for n in tensors if n not in wanted and n not in ignore and not n.endswith(_COUNTER)]
    if missing or extra:
        what = f"has no tensor {missing[0]!r}" if missing else f"has a tensor {extra[0]!r} too many"
        raise UserError(
            f"{source} is a weights file of another architecture: it {what} "
            f"({len(missing)} missing, {len(extra)} unexpected)"
        )


def _checked_weights(
    layer: keras.layers.Layer, names: list[str], tensors: Mapping[str, np.ndarray], source: str
) -> list[np.ndarray]:
    """Transposes and checks the tensors of one layer."""
    values = []
    for name, weight in zip(names, layer.weights, strict=True):
        value = _to_keras(np.asarray(tensors[name], np.float32), layer)
        if value.shape != tuple(weight.shape):
            raise UserError(
                f"{source} is a weights file of another architecture: tensor {name!r} has shape "
                f"{list(np.shape(tensors[name]))}, which does not fit layer {layer.name!r}"
            )
        if not np.all(np.isfinite(value)):
            raise UserError(f"{source} is damaged: tensor {name!r} holds NaN or infinity")
        values.append(value)
    return values


def _to_keras(value: np.ndarray, layer: keras.layers.Layer) -> np.ndarray:
    """Brings a tensor from torch's order of axes into Keras'."""
    if value.ndim == 4:
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        return value.transpose(2, 3, 0, 1) if depthwise else value.transpose(2, 3, 1, 0)
    return value.T
