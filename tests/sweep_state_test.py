"""What is on the disk says what is done: finished, begun, missing, broken; and how far it is."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import pytest

from qtdog_tf.errors import UserError
from qtdog_tf.sweep.plan import Plan
from qtdog_tf.sweep.state import State, models_of, move_broken, plan_states, run_state
from qtdog_tf.sweep.steps import phase_step, steps_done
from qtdog_tf.training.settings import TrainSettings
from tests.run_folders import IDENTITY
from tests.sweep_experiments import experiment, plan_of

MODELS = ["last.keras", "last_sma.keras", "selected.keras", "selected_sma.keras"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]).save(path)
    return path


def finish(folder: Path, model: Path, models: list[str] = MODELS, **values: object) -> None:
    """Writes what a finished run has."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in models:
        shutil.copy(model, folder / name)
    (folder / "run.json").write_text(json.dumps({**IDENTITY, **values}))
    summary = {**IDENTITY, **values, "rows": {"sma/source_validation": {}}}
    (folder / "summary.json").write_text(json.dumps(summary))


def test_models_that_a_run_has() -> None:
    assert models_of(TrainSettings()) == MODELS
    assert "selected_swad.keras" in models_of(TrainSettings(averages=("sma", "swad")))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _flip(path: Path) -> None:
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 1
    path.write_bytes(contents)


@pytest.mark.parametrize(
    ("file", "damage", "why"),
    [
        ("last.keras", _cut, "last.keras is truncated or damaged"),
        ("last_sma.keras", _flip, "last_sma.keras is"),
        ("selected_sma.keras", Path.unlink, "selected_sma.keras is truncated or damaged"),
        ("summary.json", _cut, "summary.json is damaged"),
        ("summary.json", lambda path: path.write_text("[]"), "summary.json is damaged"),
        ("summary.json", lambda path: path.write_bytes(b"\xff\xfe"), "summary.json is damaged"),
        ("run.json", Path.unlink, "run.json"),
        ("run.json", _cut, "run.json is damaged"),
        (
            "run.json",
            lambda path: path.write_text(json.dumps({**IDENTITY, "trial_seed": 1})),
            "does not agree with run.json in trial_seed",
        ),
    ],
)
def test_a_broken_run(
    tmp_path: Path, model: Path, file: str, damage: Callable[[Path], object], why: str
) -> None:
    finish(tmp_path / "run", model)
    assert run_state(tmp_path / "run", MODELS).state == State.FINISHED
    damage(tmp_path / "run" / file)
    found = run_state(tmp_path / "run", MODELS)
    assert found.state == State.BROKEN
    assert why in found.why and "\n" not in found.why


def test_a_run_that_is_begun_or_missing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert run_state(folder, MODELS).state == State.MISSING
    folder.mkdir()
    assert run_state(folder, MODELS).state == State.MISSING
    (folder / "results.jsonl").touch()
    assert run_state(folder, MODELS).state == State.BEGUN


@pytest.fixture
def plan(tmp_path: Path, model: Path) -> Plan:
    """Two finished members and their ensemble, in the folder "sweep"."""
    plan = plan_of(tmp_path / "sweep", experiment("a", members=2, target_domains=("night",)))
    for trial in plan.trials:
        finish(trial.folders[0], model)
    members = [{"run": "", "model": "", **IDENTITY, "trial_seed": seed} for seed in (0, 1)]
    finish(plan.ensembles[0].folder, model, ["selected_sma.keras"], members=members)
    return plan


def test_a_broken_member_breaks_its_ensemble_and_both_move_aside(
    tmp_path: Path, plan: Plan
) -> None:
    assert {found.state for found in plan_states(plan).values()} == {State.FINISHED}
    first, second = (trial.folders[0] for trial in plan.trials)
    ensemble = plan.ensembles[0].folder
    _cut(second / "last.keras")
    states = plan_states(plan)
    assert [states[f].state for f in (first, second, ensemble)] == ["finished", "broken", "broken"]
    sentences = list(move_broken(tmp_path / "sweep", plan, states))
    # The ensemble is gone before its member is.
    assert [ensemble.name in s and "ensemble" in s for s in sentences] == [True, False]
    assert [states[f].state for f in (first, second, ensemble)] == [
        "finished",
        "missing",
        "missing",
    ]
    assert not second.exists() and not ensemble.exists()
    aside = tmp_path / "sweep" / "broken" / "photos" / "night-trial1" / "qtdog7-0"
    assert (aside / "summary.json").exists()
    # Whatever is made meanwhile, another time has another name.
    shutil.copytree(aside, second)
    assert list(move_broken(tmp_path / "sweep", plan, plan_states(plan)))
    assert aside.with_name("qtdog7-1").exists()
    assert list(move_broken(tmp_path / "sweep", plan, plan_states(plan))) == []


def test_an_ensemble_of_another_choice_of_members_is_refused(plan: Plan, tmp_path: Path) -> None:
    more = plan_of(tmp_path / "sweep", experiment("a", members=3, target_domains=("night",)))
    with pytest.raises(UserError, match=r"is the ensemble of trials \[0, 1\], not of \[0, 1, 2\]"):
        plan_states(more)


def test_steps_that_are_done(tmp_path: Path) -> None:
    variants = ("erm", "qtdog7")
    settings = {"steps": 100, "quantize_step": 40, "target_domains": ("day",)}
    (trial,) = plan_of(tmp_path, experiment("a", variants=variants, **settings)).trials
    states = plan_states(plan_of(tmp_path, experiment("a", variants=variants, **settings)))
    assert (trial.steps, steps_done(trial, states)) == (160, 0)
    folder = trial.folder / "float"
    folder.mkdir(parents=True)
    (folder / "loss.csv").write_text("step,loss,accuracy\n9,1.5,0.5\n19,1.4,0.5\n29,1.")
    # The line that is being written does not count.
    assert phase_step(folder) == steps_done(trial, states) == 20
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "step-000040.npz").touch()
    assert steps_done(trial, states) == 40
    # A fork begins with the log of the float phase.
    erm, qtdog = trial.folders
    erm.mkdir()
    shutil.copy(folder / "loss.csv", erm)
    assert steps_done(trial, states) == 40
    (erm / "loss.csv").write_text("step,loss,accuracy\n69,1.5,0.5\n")
    assert steps_done(trial, states) == 40 + 30
    (erm / "summary.json").touch()
    qtdog.mkdir()
    (qtdog / "summary.json").touch()
    assert steps_done(trial, states) == 160
