"""Learned step size quantization of weights: arithmetic, TFMOT classes, the Keras 3 host.

Start with `quantize` and `start_quantization`; the formulas are in `lsq.py`.
"""

from typing import Any

from qtdog_tf._lazy import import_name

_MODULE_OF = {
    "CodeRange": "lsq",
    "LSQWeightQuantizer": "quantizer",
    "LayerReport": "report",
    "MODES": "wrapper",
    "ModelSize": "size",
    "QuantizeAnnotate": "annotate",
    "QuantizeWrapper": "wrapper",
    "WeightQuantizeConfig": "quantize_config",
    "WeightsOnlyScheme": "tfmot_host",
    "all_but": "annotate",
    "convolutions": "annotate",
    "entropy_bits_per_weight": "size",
    "format_report": "report",
    "is_quantized": "start",
    "model_size": "size",
    "quantization_report": "report",
    "quantize": "annotate",
    "quantize_annotate": "annotate",
    "quantize_annotate_layer": "annotate",
    "quantize_apply": "annotate",
    "quantize_wrappers": "wrapper",
    "rebuild_functions": "start",
    "start_quantization": "start",
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    return import_name(__name__, _MODULE_OF, name)


def __dir__() -> list[str]:
    return __all__
