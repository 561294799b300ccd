"""QT-DoG for Keras 3: quantization during training as a regulariser for domain generalization.

In a pipeline of one's own:

    model = quantize(model, bits=7)
    model.compile(QuantizationOptimizer(Adam(5e-5)), loss=...)
    model.fit(data, callbacks=[StartQuantization(step=2000)])

Importing this package changes nothing for the caller: neither the environment nor what `tf.keras`
is. Names are imported when they are first used. The layers are registered with Keras, so that
`keras.saving.load_model` finds them, if Keras was imported before this package; else with the first
name that is used.
"""

import sys
from importlib import import_module, metadata
from typing import Any

from qtdog_tf._lazy import import_name

_MODULE_OF = {
    "Adam": "training.adam",
    "LSQWeightQuantizer": "quantization.quantizer",
    "QuantizationOptimizer": "training.optimizer",
    "QuantizeWrapper": "quantization.wrapper",
    "SimpleMovingAverage": "training.averaging",
    "StartQuantization": "training.callbacks",
    "UserError": "errors",
    "WeightQuantizeConfig": "quantization.quantize_config",
    "quantization_report": "quantization.report",
    "quantize": "quantization.annotate",
    "quantize_annotate": "quantization.annotate",
    "quantize_annotate_layer": "quantization.annotate",
    "quantize_apply": "quantization.annotate",
    "start_quantization": "quantization.start",
}

# Modules whose classes stand in saved models.
_REGISTERING = (
    "models.applications",
    "models.batch_norm",
    "quantization.annotate",
    "training.optimizer",
)

try:
    __version__ = metadata.version("qtdog_tf")
except metadata.PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0+unknown"

__all__ = sorted([*_MODULE_OF, "__version__"])


def __getattr__(name: str) -> Any:
    value = import_name(__name__, _MODULE_OF, name)
    _register_with_keras()
    return value


def __dir__() -> list[str]:
    return __all__


def _register_with_keras() -> None:
    if "keras" in sys.modules:
        for module in _REGISTERING:
            import_module(f"{__name__}.{module}")


_register_with_keras()
