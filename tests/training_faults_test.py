"""What goes wrong while training runs, and what is left of it: all of it, and a plain sentence."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qtdog_tf.data import open_domains
from qtdog_tf.data.domains import DomainSet
from qtdog_tf.environment import numeric_environment
from qtdog_tf.errors import UserError
from qtdog_tf.files import read_json
from qtdog_tf.training import phase_run as phase_run_module
from qtdog_tf.training import trial as trial_module
from qtdog_tf.training.bad_images import without_images
from qtdog_tf.training.callbacks import LossLog
from qtdog_tf.training.interruption import Interrupted
from qtdog_tf.training.progress import PhaseProgress
from qtdog_tf.training.roles import Roles
from qtdog_tf.training.run_settings import RunSettings
from qtdog_tf.training.settings import TrainSettings
from qtdog_tf.training.trial import Trial
from qtdog_tf.training.variants import parse_variants
from tests.small_data import TINY_RUN, make_small_data
from tools._run_digest import run_digests

# Steps 0, 4, 8 and 12 are evaluated, and 13 as the last; K = 6.
SETTINGS = TrainSettings(
    **{**TINY_RUN, "data": "small", "steps": 14, "averages": ("sma", "swa", "swad"), "cache_mb": 0}  # type: ignore[arg-type]
)
ROLES = Roles(("flat", "gradient"), ("line",))
(VARIANT,) = parse_variants(("qtdog5",))


def train(
    domain_set: DomainSet, output: Path, settings: TrainSettings = SETTINGS, **how: Any
) -> dict[str, Any]:
    progress = PhaseProgress(100, enabled=False)
    trial = Trial(settings, domain_set, ROLES, 0, output, progress, RunSettings(**how))
    (summary,) = trial.run([VARIANT])
    return summary


@pytest.fixture(scope="module", autouse=True)
def losses_are_logged_often() -> Iterator[None]:
    """Lines of loss.csv are means over 7 steps, which breaks fall into."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LossLog.__init__, "__defaults__", (7,))
        yield


@pytest.fixture(scope="module")
def straight(domain_set: DomainSet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    output = tmp_path_factory.mktemp("straight")
    train(domain_set, output)
    return run_digests(output)


def after_steps(monkeypatch: pytest.MonkeyPatch, steps: int, act: Callable[[], None]) -> None:
    """Acts when the update of step `steps` - 1 has been made, before anything else looks at it."""
    original = LossLog.on_train_batch_end

    def acting(self: LossLog, batch: int, logs: Any = None) -> None:
        if int(self.model.optimizer.iterations.numpy()) == steps:
            act()
        original(self, batch, logs)

    monkeypatch.setattr(LossLog, "on_train_batch_end", acting)


def test_signals_save_at_once_and_the_run_goes_on_to_the_same_bits(
    domain_set: DomainSet, straight: dict[str, str], tmp_path: Path
) -> None:
    """After steps 5, 9 and 14 an evaluation is due, which is broken off and made good later."""
    for steps in (3, 5, 6, 9, 14):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted, match="SIGTERM"):
            after_steps(patch, steps, lambda: signal.raise_signal(signal.SIGTERM))
            train(domain_set, tmp_path)
        phase = "float" if steps <= 6 else "qtdog5"
        saved = tmp_path / "line-trial0" / phase / "checkpoints" / f"step-{steps:06d}.npz"
        assert saved.exists()
    train(domain_set, tmp_path)
    assert run_digests(tmp_path) == straight


def test_a_kill_after_an_evaluation_was_made_good_loses_no_sum(
    domain_set: DomainSet, straight: dict[str, str], tmp_path: Path
) -> None:
    """What it saved is all that is left of the running means of steps before."""

    def kill() -> None:
        raise MemoryError

    for act, steps, error in (
        (lambda: signal.raise_signal(signal.SIGTERM), 5, Interrupted),
        (kill, 6, MemoryError),
    ):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(error):
            after_steps(patch, steps, act)
            train(domain_set, tmp_path)
    train(domain_set, tmp_path)
    assert run_digests(tmp_path) == straight


def test_checkpoints_come_as_often_as_asked_for_with_several_steps_an_execution(
    domain_set: DomainSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TrainSettings(**{**vars(SETTINGS), "steps_per_execution": 2, "eval_every": 14})
    saved: list[int] = []
    monkeypatch.setattr(
        phase_run_module.PhaseRun,
        "save",
        lambda self, save=phase_run_module.PhaseRun.save: (saved.append(self.step), save(self)),
    )
    train(domain_set, tmp_path, settings, checkpoint_every=3)
    # Executions end after even steps: that of step 0, which is evaluated; the first ones at or past
    # 3, 6 (K), 9 and 12; the end.
    assert saved == [2, 4, 6, 10, 12, 14]


def test_a_damaged_checkpoint_costs_the_steps_since_the_one_before(
    domain_set: DomainSet,
    straight: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    after_steps(monkeypatch, 11, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(Interrupted, match="SIGINT"):
        train(domain_set, tmp_path, checkpoint_every=2)
    monkeypatch.undo()
    newest = tmp_path / "line-trial0" / "qtdog5" / "checkpoints" / "step-000011.npz"
    newest.write_bytes(newest.read_bytes()[:-100])
    # What a killed process leaves behind is no obstacle, and goes.
    left = tmp_path / "line-trial0" / "qtdog5" / ".writing-abc.npz"
    left.write_bytes(b"half")
    train(domain_set, tmp_path)
    assert "step-000011.npz is truncated or damaged" in capsys.readouterr().err
    assert run_digests(tmp_path) == straight and not left.exists()


def test_going_on_elsewhere_is_a_decision_and_marked(
    domain_set: DomainSet,
    straight: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    after_steps(monkeypatch, 7, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(Interrupted):
        train(domain_set, tmp_path)
    monkeypatch.undo()
    other = {**numeric_environment(), "threads in an operator": "96"}
    monkeypatch.setattr(trial_module, "numeric_environment", lambda replicas: other)
    with pytest.raises(UserError, match="threads in an operator: .* there, 96 here.*--resume_else"):
        train(domain_set, tmp_path)
    (mark,) = train(domain_set, tmp_path, resume_elsewhere=True)["resumed_elsewhere"]
    assert mark.startswith("from step 7 on: threads in an operator: ")


def test_a_loss_that_is_not_finite_names_step_and_layer(
    domain_set: DomainSet, tmp_path: Path
) -> None:
    settings = TrainSettings(**{**vars(SETTINGS), "learning_rate": 1e30})
    with pytest.raises(UserError) as refused:
        train(domain_set, tmp_path, settings)
    sentence = str(refused.value)
    assert "the loss of step 1 is not finite, first the output of layer 'stem_bn';" in sentence
    assert "the checkpoint of step 1 is kept" in sentence and "learning rate than 1e+30" in sentence


@pytest.mark.parametrize("damage", ["gone", "truncated"])
def test_a_training_image_that_cannot_be_read_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    root = make_small_data(tmp_path / "data")
    domain_set = open_domains(str(root))
    trial = Trial(SETTINGS, domain_set, ROLES, 0, tmp_path / "a", PhaseProgress(9, False))
    # One that no batch needs before the last step, or it would have been read ahead.
    before = {path for step in range(13) for path in trial.data.batches().paths(step)}
    victim = Path(next(path for path in trial.data.batches().paths(13) if path not in before))
    contents = victim.read_bytes()

    def damaging() -> None:
        victim.unlink()
        if damage == "truncated":
            victim.write_bytes(contents[:50])

    problem = {"gone": "cannot be read: No such file", "truncated": "is truncated.*step 13.*=skip"}[
        damage
    ]
    after_steps(monkeypatch, 1, damaging)
    with pytest.raises(UserError, match=f"{victim} {problem}"):
        train(domain_set, tmp_path / "stop")
    victim.write_bytes(contents)
    with pytest.raises(UserError, match="no training image of domain 'flat' can be read any more"):
        without_images(domain_set, trial.data.splits, frozenset(domain_set.domain("flat").paths))
    summary = train(domain_set, tmp_path / "skip", on_bad_image="skip")
    assert summary["skipped_images"] == 1
    (skipped,) = read_json(tmp_path / "skip" / "line-trial0" / "qtdog5" / "skipped.json")
    assert skipped["path"] == str(victim)
    assert skipped["step"] == (6 if damage == "gone" else 13)


def test_images_are_not_skipped_among_steps_that_no_callback_sees(
    domain_set: DomainSet, tmp_path: Path
) -> None:
    settings = TrainSettings(**{**vars(SETTINGS), "steps_per_execution": 2})
    RunSettings().check_with(steps_per_execution=2)
    with pytest.raises(UserError, match=r"steps_per_execution \(2\) must be 1 with"):
        train(domain_set, tmp_path, settings, on_bad_image="skip")


def test_an_image_that_an_evaluation_needs_always_stops(tmp_path: Path) -> None:
    domain_set = open_domains(str(make_small_data(tmp_path / "data")))
    victim = Path(domain_set.domain("line").paths[3])
    victim.write_bytes(victim.read_bytes()[:50])
    with pytest.raises(UserError, match=f"{victim} is truncated.*evaluations need it"):
        train(domain_set, tmp_path / "runs", on_bad_image="skip")
