"""Every analysis of one model by name, with its settings. Start from `ANALYSES`."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras

from qtdog_tf.analysis.calibration import calibration
from qtdog_tf.analysis.code_use import code_use
from qtdog_tf.analysis.flatness import FlatnessSettings, flatness
from qtdog_tf.analysis.grad_cam import PREDICTED, SCORES, grad_cam_result
from qtdog_tf.analysis.hessian import HessianSettings, hessian
from qtdog_tf.analysis.noise_effect import NoiseEffectSettings, noise_effect
from qtdog_tf.analysis.rounding_noise import noise
from qtdog_tf.analysis.samples import Sample, read_samples
from qtdog_tf.analysis.stability import run_stability
from qtdog_tf.data import open_domains
from qtdog_tf.evaluation.run_folder import Run
from qtdog_tf.settings import Settings, setting

Result = dict[str, Any]
OnStep = Callable[[int], None]


@dataclasses.dataclass(frozen=True)
class GradCamSettings(Settings):
    """What Grad-CAM is drawn of. A value that is not allowed raises UserError, naming it."""

    images: int = setting(12, "Images of the target, equally of every class.", at_least=1)
    seed: int = setting(0, "Chooses the images.", at_least=0)
    score: str = setting(PREDICTED, "Whose score is explained: the class's.", choices=SCORES)
    layer: str = setting(
        "", "Layer that is explained. Default: the last convolution with a map of 4 x 4 or more."
    )


@dataclasses.dataclass(frozen=True)
class Nothing(Settings):
    """Of an analysis that has no settings."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """A model of a run, and the images to look at it on.

    Attributes:
        run: the run.
        model: which of its models, see `MODELS`.
        limit: images of each part of each domain at most, see `read_samples`; None for all.
        seed: of their choice.
    """

    run: Run
    model: str
    limit: int | None = None
    seed: int = 0

    def load(self) -> keras.Model:
        """The model, freshly loaded."""
        return self.run.load_model(self.model)

    @functools.cached_property
    def samples(self) -> list[Sample]:
        """The images, read when they are first asked for."""
        data = open_domains(self.run.data)
        return read_samples(self.run, data, limit=self.limit, seed=self.seed)


class Analysis(NamedTuple):
    """One analysis.

    Attributes:
        run: from a subject, settings, and what is called after each step with the number of steps
            done, to plain values.
        settings: class of the settings.
        steps: how many steps it takes at most; 1 if it reports none.
    """

    run: Callable[[Subject, Any, OnStep], Result]
    settings: type[Settings] = Nothing
    steps: Callable[[Any], int] = lambda settings: 1


def _flatness(subject: Subject, settings: FlatnessSettings, step: OnStep) -> Result:
    return flatness(subject.load(), subject.samples, settings, on_direction=step)


def _flatness_steps(settings: FlatnessSettings) -> int:
    kinds = len(settings.direction_kinds) * len(settings.weight_kinds)
    return settings.max_directions * kinds


def _hessian(subject: Subject, settings: HessianSettings, step: OnStep) -> Result:
    return hessian(subject.load(), subject.samples, settings, on_product=step)


def _noise_effect(subject: Subject, settings: NoiseEffectSettings, step: OnStep) -> Result:
    return noise_effect(subject.load(), subject.samples, settings, on_step=step)


def _calibration(subject: Subject, settings: Nothing, step: OnStep) -> Result:
    return calibration(subject.load(), subject.samples, subject.run.classes)


def _grad_cam(subject: Subject, settings: GradCamSettings, step: OnStep) -> Result:
    return grad_cam_result(
        subject.load(), subject.samples, subject.run.classes, **dataclasses.asdict(settings)
    )


# In this order they are made: what takes seconds first.
ANALYSES: dict[str, Analysis] = {
    "stability": Analysis(lambda subject, _, step: run_stability(subject.run)),
    "code_use": Analysis(lambda subject, _, step: code_use(subject.load())),
    "noise": Analysis(lambda subject, _, step: noise(subject.load())),
    "calibration": Analysis(_calibration),
    "grad_cam": Analysis(_grad_cam, GradCamSettings),
    "hessian": Analysis(_hessian, HessianSettings, lambda s: s.max_iterations + s.max_probes),
    "noise_effect": Analysis(
        _noise_effect, NoiseEffectSettings, lambda s: s.draws + 2 * s.max_probes
    ),
    "flatness": Analysis(_flatness, FlatnessSettings, _flatness_steps),
}
# What an ensemble cannot be asked for: it was not trained, and Grad-CAM is of one network.
SINGLE_RUNS_ONLY: Sequence[str] = ("stability", "grad_cam")
