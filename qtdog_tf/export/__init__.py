"""From a trained model to a .tflite file whose weights are the learned codes.

Start from `export_tflite`, or from its parts `plan_graph` and `export_model`; `open_file` runs a
file.
"""

from qtdog_tf.export.build import plan_graph
from qtdog_tf.export.checks.agreement import Agreement, ImageSet
from qtdog_tf.export.checks.report import format_report, report_values
from qtdog_tf.export.exporter import Export, check_output, export_model
from qtdog_tf.export.from_code import export_tflite
from qtdog_tf.export.graph.lower import float_layers, lower
from qtdog_tf.export.progress import Stages
from qtdog_tf.export.run_images import CalibrationChoice, calibration_choice, comparison_sets
from qtdog_tf.export.settings import KINDS, ExportSettings
from qtdog_tf.export.tflite.metadata import ModelInfo, add_metadata, read_info, read_labels
from qtdog_tf.export.tflite.runner import TFLiteClassifier, open_file, round_pixels

__all__ = [
    "KINDS",
    "Agreement",
    "CalibrationChoice",
    "Export",
    "ExportSettings",
    "ImageSet",
    "ModelInfo",
    "Stages",
    "TFLiteClassifier",
    "add_metadata",
    "calibration_choice",
    "check_output",
    "comparison_sets",
    "export_model",
    "export_tflite",
    "float_layers",
    "format_report",
    "lower",
    "open_file",
    "plan_graph",
    "read_info",
    "read_labels",
    "report_values",
    "round_pixels",
]
