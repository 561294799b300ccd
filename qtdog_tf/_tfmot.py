"""TFMOT's abstract classes for quantization, imported without side effects.

Importing `tensorflow_model_optimization` sets `TF_USE_LEGACY_KERAS=1`, and if nobody has touched
`tf.keras` before, it turns `tf.keras` into the legacy `tf_keras` for the whole process. Code that
merely imports `qtdog_tf` must not have its Keras swapped, so `tf.keras` is resolved first and the
variable is restored afterwards.
"""

import os
import warnings
from typing import Any

import keras  # noqa: F401  # Keras 3 has to be there before TensorFlow resolves `tf.keras`.
import tensorflow as tf

_LEGACY_SWITCH = "TF_USE_LEGACY_KERAS"


def _import_modules() -> tuple[Any, ...]:
    before = os.environ.get(_LEGACY_SWITCH)
    # TensorFlow decides at the first attribute access, and only once, which Keras it shows.
    # It is spelled with getattr because this is the one place that may touch it.
    getattr(getattr(tf, "keras"), "__name__")  # noqa: B009
    try:
        with warnings.catch_warnings():
            # TFMOT compares versions with the deprecated distutils.
            warnings.simplefilter("ignore", DeprecationWarning)
            from tensorflow_model_optimization.python.core.quantization.keras import (
                quantize_config,
                quantize_layout_transform,
                quantize_registry,
                quantize_scheme,
                quantizers,
            )
    finally:
        if before is None:
            os.environ.pop(_LEGACY_SWITCH, None)
        else:
            os.environ[_LEGACY_SWITCH] = before
    return (
        quantizers,
        quantize_config,
        quantize_scheme,
        quantize_layout_transform,
        quantize_registry,
    )


_quantizers, _config, _scheme, _layout, _registry = _import_modules()

Quantizer = _quantizers.Quantizer
QuantizeConfig = _config.QuantizeConfig
QuantizeScheme = _scheme.QuantizeScheme
QuantizeLayoutTransform = _layout.QuantizeLayoutTransform
QuantizeRegistry = _registry.QuantizeRegistry
