"""Learned step size quantization of weights: arithmetic, TFMOT classes, the Keras 3 host.

Start with `quantize` and `start_quantization`; the formulas are in `lsq.py`.
"""

from qtdog_tf.quantization.annotate import (
    QuantizeAnnotate,
    all_but,
    convolutions,
    quantize,
    quantize_annotate,
    quantize_annotate_layer,
    quantize_apply,
)
from qtdog_tf.quantization.inq_quantizer import INQWeightQuantizer
from qtdog_tf.quantization.lsq import CodeRange
from qtdog_tf.quantization.quantize_config import WeightQuantizeConfig
from qtdog_tf.quantization.quantizer import LSQWeightQuantizer
from qtdog_tf.quantization.report import LayerReport, format_report, quantization_report
from qtdog_tf.quantization.size import ModelSize, entropy_bits_per_weight, model_size
from qtdog_tf.quantization.start import is_quantized, rebuild_functions, start_quantization
from qtdog_tf.quantization.uniform_noise import UniformNoiseQuantizer
from qtdog_tf.quantization.wrapper import MODES, QuantizeWrapper, quantize_wrappers

__all__ = [
    "MODES",
    "CodeRange",
    "INQWeightQuantizer",
    "LSQWeightQuantizer",
    "LayerReport",
    "ModelSize",
    "QuantizeAnnotate",
    "QuantizeWrapper",
    "UniformNoiseQuantizer",
    "WeightQuantizeConfig",
    "all_but",
    "convolutions",
    "entropy_bits_per_weight",
    "format_report",
    "is_quantized",
    "model_size",
    "quantization_report",
    "quantize",
    "quantize_annotate",
    "quantize_annotate_layer",
    "quantize_apply",
    "quantize_wrappers",
    "rebuild_functions",
    "start_quantization",
]
