"""Evaluates finished runs on any domains: figures, tables, confusion matrices; makes ensembles.

Start from `open_run`, then `choose_images`, then `evaluate_run`; for an ensemble of runs from
`make_ensemble`, whose folder is opened by `open_run` too.
"""

from qtdog_tf.evaluation.ensemble_folder import make_ensemble
from qtdog_tf.evaluation.ensemble_report import ensemble_table
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
    "ensemble_table",
    "evaluate_run",
    "make_ensemble",
    "notes",
    "open_run",
    "open_runs",
    "refuse_unknown",
]
