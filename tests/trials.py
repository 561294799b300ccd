"""Small trials in a folder, and whether two runs are one and the same, bit for bit."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import pytest

from qtdog_tf.algorithms import AlgorithmSettings
from qtdog_tf.data.domains import DomainSet
from qtdog_tf.records import OUT, SOURCE
from qtdog_tf.training.evaluation import DomainEvaluation, Part
from qtdog_tf.training.progress import PhaseProgress
from qtdog_tf.training.roles import Roles
from qtdog_tf.training.run_settings import RunSettings
from qtdog_tf.training.settings import TrainSettings
from qtdog_tf.training.trial import Trial
from qtdog_tf.training.variants import Variant
from tests.small_data import TINY_RUN

# One step more than a multiple of eval_every, so that the last step is evaluated for being last.
SETTINGS = TrainSettings(**{**TINY_RUN, "data": "small", "steps": 14, "learning_rate": 1e-3})  # type: ignore[arg-type]
ROLES = Roles(("flat", "gradient"), ("line",))
MODELS = ("selected.keras", "selected_sma.keras", "last.keras", "last_sma.keras")


def make_trial(
    domain_set: DomainSet,
    output: Path,
    settings: TrainSettings = SETTINGS,
    run_settings: RunSettings | None = None,
    algorithm: AlgorithmSettings | None = None,
) -> Trial:
    progress = PhaseProgress(100, enabled=False)
    return Trial(settings, domain_set, ROLES, 0, output, progress, run_settings, algorithm)


def validation_parts(trial: Trial) -> list[Part]:
    """What its steps are selected by."""
    return [part for part in trial.data.parts() if (part.role, part.split) == (SOURCE, OUT)]


def weights_of(path: Path) -> list[np.ndarray]:
    return keras.saving.load_model(path, compile=False).get_weights()


def assert_same_run(one: Path, other: Path) -> None:
    for name in ("results.jsonl", "summary.json", "run.json", "loss.csv"):
        if (one / name).exists() or (other / name).exists():
            assert (one / name).read_bytes() == (other / name).read_bytes(), name
    for name in MODELS:
        for a, b in zip(weights_of(one / name), weights_of(other / name), strict=True):
            np.testing.assert_array_equal(a, b, err_msg=name)


def run_with_a_break(
    domain_set: DomainSet,
    output: Path,
    variants: Sequence[Variant],
    stop_at: int,
    monkeypatch: pytest.MonkeyPatch,
    run_settings: RunSettings | None = None,
    settings: TrainSettings = SETTINGS,
    algorithm: AlgorithmSettings | None = None,
) -> None:
    """Trains, is killed after the update of step `stop_at`, before it is saved, and goes on."""
    with interrupted(stop_at, monkeypatch):
        make_trial(domain_set, output, settings, run_settings, algorithm).run(variants)
    assert not (output / "line-trial0" / variants[0].name / "summary.json").exists()
    make_trial(domain_set, output, settings, run_settings, algorithm).run(variants)


@contextlib.contextmanager
def interrupted(stop_at: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within this context training is killed after the update of step `stop_at`."""
    original = DomainEvaluation.on_train_batch_end
    calls = []

    def interrupt(self, batch, logs=None):
        original(self, batch, logs)
        calls.append(batch)
        if len(calls) == stop_at + 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(DomainEvaluation, "on_train_batch_end", interrupt)
    with contextlib.suppress(KeyboardInterrupt):
        yield
    monkeypatch.setattr(DomainEvaluation, "on_train_batch_end", original)
