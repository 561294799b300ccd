"""Why does a model generalise? Flatness, curvature, noise, stability, calibration, attention.

Start from `ANALYSES` (by name, of a finished run) or from the functions, which take any Keras model
of this project and `Sample`s of images.
"""

from qtdog_tf.analysis.catalog import ANALYSES, SINGLE_RUNS_ONLY, Analysis, GradCamSettings, Subject
from qtdog_tf.analysis.flatness import FlatnessSettings, flatness
from qtdog_tf.analysis.hessian import HessianSettings, hessian
from qtdog_tf.analysis.noise_effect import NoiseEffectSettings, noise_effect
from qtdog_tf.analysis.plane import loss_plane
from qtdog_tf.analysis.record import Record, run_label
from qtdog_tf.analysis.rounding_noise import noise
from qtdog_tf.analysis.samples import Sample, read_samples
from qtdog_tf.analysis.stability import stability

__all__ = [
    "ANALYSES",
    "SINGLE_RUNS_ONLY",
    "Analysis",
    "FlatnessSettings",
    "GradCamSettings",
    "HessianSettings",
    "NoiseEffectSettings",
    "Record",
    "Sample",
    "Subject",
    "flatness",
    "hessian",
    "loss_plane",
    "noise",
    "noise_effect",
    "read_samples",
    "run_label",
    "stability",
]
