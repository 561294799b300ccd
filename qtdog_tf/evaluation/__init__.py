"""Evaluates finished runs on any domains: figures, tables, confusion matrices.

Start from `open_run`, then `choose_images`, then `evaluate_run`.
"""

from qtdog_tf.evaluation.images import PARTS, Images, choose_images, refuse_unknown
from qtdog_tf.evaluation.metrics import DomainResult, confusion_matrix, domain_result
from qtdog_tf.evaluation.predictions import Predictions, evaluate_run
from qtdog_tf.evaluation.report import class_table, domain_table, notes
from qtdog_tf.evaluation.run_folder import MODELS, Run, open_run, open_runs

__all__ = [
    "MODELS",
    "PARTS",
    "DomainResult",
    "Images",
    "Predictions",
    "Run",
    "choose_images",
    "class_table",
    "confusion_matrix",
    "domain_result",
    "domain_table",
    "evaluate_run",
    "notes",
    "open_run",
    "open_runs",
    "refuse_unknown",
]
