"""Checks the description of a model in a `.keras` file before Keras builds what it names.

Keras' safe mode refuses code in the file, and still lets a description name any layer: one that
reads other files (`TFSMLayer`, lookups of a vocabulary), or a Dense layer of a trillion units.
The models of this project are made of few kinds of layers, so all others are refused. Start from
`check_config`.
"""

import json
from collections.abc import Iterator
from typing import Any

# What the backbones consist of; every layer here computes from its inputs and weights only.
_LAYERS = (
    "Activation",
    "Add",
    "Average",
    "AveragePooling2D",
    "BatchNormalization",
    "Concatenate",
    "Conv2D",
    "Cropping1D",
    "Cropping2D",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "Flatten",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "GroupNormalization",
    "InputLayer",
    "LayerNormalization",
    "LeakyReLU",
    "MaxPooling2D",
    "Maximum",
    "Multiply",
    "Normalization",
    "Permute",
    "PReLU",
    "ReLU",
    "Rescaling",
    "Reshape",
    "Resizing",
    "SeparableConv2D",
    "Softmax",
    "SpatialDropout2D",
    "Subtract",
    "UpSampling2D",
    "ZeroPadding2D",
)
_INITIALIZERS = (
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
)
_ALLOWED: dict[str | None, frozenset[str]] = {
    "keras": frozenset({"DTypePolicy", "Functional", "Model", "Sequential"}),
    "keras.layers": frozenset(_LAYERS),
    "keras.initializers": frozenset(_INITIALIZERS),
    "keras.regularizers": frozenset({"L1", "L1L2", "L2"}),
    "keras.src.applications.convnext": frozenset({"LayerScale"}),
    "keras.src.applications.inception_resnet_v2": frozenset({"CustomScaleLayer"}),
    "keras.src.models.functional": frozenset({"Functional"}),
    "keras.src.models.sequential": frozenset({"Sequential"}),
    "keras.src.ops.numpy": frozenset({"Add", "Multiply", "Subtract"}),
    None: frozenset({"__keras_tensor__"}),
}
# Layers of this project are found by the name that they are registered under.
_OWN_PACKAGE = "qtdog_tf"
_OWN = frozenset(
    f"{_OWN_PACKAGE}>{name}"
    for name in (
        "ClassToken",
        "EnsembleAverage",
        "FastConv2D",
        "FastDepthwiseConv2D",
        "FastGroupNormalization",
        "FastGroupedConv2D",
        "FrozenBatchNormalization",
        "INQWeightQuantizer",
        "LSQWeightQuantizer",
        "QuantizeWrapper",
        "ReverseChannels",
        "SelfAttention",
        "WeightQuantizeConfig",
    )
)
_KINDS = ("module", "class_name", "registered_name")
# Keras calls its own code with these, which models here have no use for.
_REFUSED_KEYS = ("compile_config", "custom_objects", "spec_name")


def check_config(text: bytes) -> None:
    """Looks at everything that a description names.

    Args:
        text: `config.json` of a `.keras` file.

    Raises:
        ValueError: if it is no JSON, or names what no model of this project holds.
    """
    config = json.loads(text)
    if not isinstance(config, dict) or "class_name" not in config:
        raise ValueError("its config.json describes no model")
    # How the model was trained; it is loaded without.
    config.pop("compile_config", None)
    for entry in _objects(config):
        _check_object(entry)


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Every dictionary in it, at any depth."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _check_object(entry: dict[str, Any]) -> None:
    for key in _REFUSED_KEYS:
        if entry.get(key):
            raise ValueError(f"its config.json holds {key!r}, which no model of this project does")
    if "class_name" not in entry:
        return
    module, name, registered = (entry.get(key) for key in _KINDS)
    if not all(value is None or isinstance(value, str) for value in (module, name, registered)):
        raise ValueError("a name in its config.json is no text")
    if registered in _OWN and module is not None and module.split(".")[0] == _OWN_PACKAGE:
        return
    # Keras looks for a registered name first, so a layer of its own may not carry another.
    if registered in (None, name) and name in _ALLOWED.get(module, ()):
        return
    shown = ".".join(str(part)[:80] for part in (module, name) if part is not None)
    raise ValueError(f"its config.json names {shown!r}, which no model of this project holds")
