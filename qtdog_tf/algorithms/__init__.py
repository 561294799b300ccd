"""Training methods of domain generalization that QT-DoG is compared and combined with.

One file a method. `build_algorithm` makes one from settings, and `AlgorithmModel` trains by it with
Keras' `fit`, quantization on or off. To add a method, subclass `Algorithm`: usually `loss` is all
that it needs.
"""

from qtdog_tf.algorithms.base import Algorithm, Batch, FeatureAlgorithm
from qtdog_tf.algorithms.mixstyle_places import without_mixstyle
from qtdog_tf.algorithms.model import AlgorithmModel
from qtdog_tf.algorithms.passes import Outcome
from qtdog_tf.algorithms.registry import build_algorithm, prepare_model
from qtdog_tf.algorithms.settings import ALGORITHMS, AlgorithmSettings

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "AlgorithmModel",
    "AlgorithmSettings",
    "Batch",
    "FeatureAlgorithm",
    "Outcome",
    "build_algorithm",
    "prepare_model",
    "without_mixstyle",
]
