"""QT-DoG for Keras 3: quantization during training as a regulariser for domain generalization.

In a pipeline of one's own:

    model = quantize(model, bits=7)
    model.compile(QuantizationOptimizer(Adam(5e-5)), loss=...)
    model.fit(data, callbacks=[StartQuantization(step=2000)])

Importing this package registers its layers with Keras, so that `keras.saving.load_model` finds
them, and changes nothing else for the caller: neither the environment nor what `tf.keras` is.
"""

from importlib import metadata

from qtdog_tf.algorithms import AlgorithmModel, AlgorithmSettings, build_algorithm
from qtdog_tf.averaging import SimpleMovingAverage
from qtdog_tf.ensemble import EnsembleAverage, build_ensemble
from qtdog_tf.errors import UserError
from qtdog_tf.models import BACKBONES, build_backbone, build_classifier
from qtdog_tf.quantization import (
    LSQWeightQuantizer,
    QuantizeWrapper,
    WeightQuantizeConfig,
    format_report,
    quantization_report,
    quantize,
    quantize_annotate,
    quantize_annotate_layer,
    quantize_apply,
    start_quantization,
)
from qtdog_tf.training import (
    Adam,
    QuantizationOptimizer,
    StartQuantization,
)

try:
    __version__ = metadata.version("qtdog_tf")
except metadata.PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0+unknown"

__all__ = [
    "BACKBONES",
    "Adam",
    "AlgorithmModel",
    "AlgorithmSettings",
    "EnsembleAverage",
    "LSQWeightQuantizer",
    "QuantizationOptimizer",
    "QuantizeWrapper",
    "SimpleMovingAverage",
    "StartQuantization",
    "UserError",
    "WeightQuantizeConfig",
    "__version__",
    "build_algorithm",
    "build_backbone",
    "build_classifier",
    "build_ensemble",
    "format_report",
    "quantization_report",
    "quantize",
    "quantize_annotate",
    "quantize_annotate_layer",
    "quantize_apply",
    "start_quantization",
]
