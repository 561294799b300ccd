"""What experiments come to: groups, trials that they share, commands, hours."""

import math
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from absl import flags
from hypothesis import given, settings

from qtdog_tf.algorithms import AlgorithmSettings
from qtdog_tf.errors import UserError
from qtdog_tf.sweep.commands import Workplace, ensemble_task, flags_of, train_task
from qtdog_tf.sweep.estimate import evaluated_images, evaluations, makespan, seconds_left
from qtdog_tf.sweep.experiment import data_name, expand
from qtdog_tf.sweep.plan import TrialRuns
from qtdog_tf.sweep.probe import Speed
from qtdog_tf.sweep.progress import SweepProgress, duration, time_to_go
from qtdog_tf.sweep.state import RunState, State
from qtdog_tf.training.plan_settings import PlanSettings
from qtdog_tf.training.run_settings import RunSettings
from qtdog_tf.training.settings import TrainSettings
from tests.sweep_experiments import experiment, plan_of
from tools._flags import define_flags, settings_from_flags

OUTPUT = Path("runs/sweep")
WORKPLACE = Workplace(OUTPUT, 2, Path("/home/me"))


def test_experiments_of_one_group_share_float_phases_and_members() -> None:
    plan = plan_of(
        OUTPUT,
        experiment("erm", variants=("erm",), trial_seeds=("0", "1", "2")),
        experiment("qtdog", variants=("qtdog7",), trial_seeds=("0", "1", "2")),
        experiment("eoq", variants=("qtdog7", "qtdog4"), members=2, target_domains=("night",)),
    )
    assert [group.folder for group in plan.groups] == [OUTPUT / "photos"]
    variants = {trial.name: [v.name for v in trial.variants] for trial in plan.trials}
    assert len(variants) == 3 * 3
    assert variants["photos/day-trial1"] == ["erm", "qtdog7"]
    # The two members are the single runs of trials 0 and 1, and need nothing but their other bits.
    assert variants["photos/night-trial0"] == ["erm", "qtdog7", "qtdog4"]
    assert variants["photos/night-trial1"] == ["erm", "qtdog7", "qtdog4"]
    assert variants["photos/night-trial2"] == ["erm", "qtdog7"]
    assert [ensemble.name for ensemble in plan.ensembles] == [
        "photos/night-ensemble0/qtdog7",
        "photos/night-ensemble0/qtdog4",
    ]
    assert plan.ensembles[0].after == ["photos/night-trial0", "photos/night-trial1"]
    assert plan.ensembles[0].members[1] == OUTPUT / "photos/night-trial1/qtdog7"
    # One float phase and three tails of the default 5001 - 2000 steps.
    trial = next(trial for trial in plan.trials if trial.name == "photos/night-trial0")
    assert trial.steps == 2000 + 3 * 3001


def test_a_grid_of_methods_and_draws() -> None:
    def draw(algorithm: str, data: str, seed: int, trial: int) -> dict[str, Any]:
        assert data == "photos"
        own = {"coral_gamma": 0.5 * seed} if algorithm == "coral" else {}
        return {"learning_rate": (10 * seed + trial) * 1e-5, **own}

    start = experiment("a", data="tfds:photos:/data", trial_seeds=("0", "2"))
    found = expand([start], ["erm", "coral"], [0, 3], draw)
    assert [one.group for one in found] == [
        "photos",
        "photos-hparams3-trial0",
        "photos-hparams3-trial2",
        "photos-coral",
        "photos-coral-hparams3-trial0",
        "photos-coral-hparams3-trial2",
    ]
    assert found[0] is start
    last = found[-1]
    assert (last.algorithm.algorithm, last.algorithm.coral_gamma) == ("coral", 1.5)
    assert last.settings.learning_rate == pytest.approx(32e-5)
    assert [one.wanted.seeds for one in found] == [[0, 2], [0], [2], [0, 2], [0], [2]]
    assert found[3].settings == start.settings
    assert [one.group for one in expand([start], [], [0], draw)] == ["photos"]
    with pytest.raises(UserError, match="draws learning_rate, which --learning_rate fixes for all"):
        expand([start], [], [0, 1], draw, given=["learning_rate", "steps"])


def test_names_of_data() -> None:
    names = [data_name(name) for name in ("data/pacs", "pacs/", "tfds:pacs", "tfds:pacs:/d/x")]
    assert names == ["pacs"] * 4


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"quantize_step": 5, "steps": 300}, "(quantize_step: 5 / 2000; steps: 300 / 5001)"),
        ({"algorithm": "coral"}, "share the folder photos but differ (algorithm"),
        ({"checkpoint_every": 7}, "checkpoint_every: 7 / 0"),
        ({"group": "logs"}, "which the sweep needs for itself"),
        ({"source_domains": ("snow",), "target_domains": ("day",)}, "trained on snow and on night"),
        ({"members": 2, "trial_seeds": ("0",)}, "would have 2 members and 3"),
        ({"target_domains": ("mars",)}, "no domain 'mars'"),
    ],
)
def test_experiments_that_do_not_go_together(values: dict[str, Any], sentence: str) -> None:
    first = experiment("a", members=3)
    with pytest.raises(UserError) as caught:
        plan_of(OUTPUT, first, experiment("b", **values))
    assert sentence in str(caught.value)


def test_commands_that_a_person_could_type() -> None:
    plan = plan_of(
        OUTPUT,
        experiment("a", members=2, target_domains=("none",), data="my data", augment="none"),
    )
    task = train_task(plan.trials[1], WORKPLACE)
    assert task.log == "/home/me/runs/sweep/logs/photos/all_domains-trial1.log"
    assert task.typed == (
        "TF_NUM_INTRAOP_THREADS=2 TF_NUM_INTEROP_THREADS=2 OMP_NUM_THREADS=2 python -m tools.train "
        "'--data=my data' --augment=none --target_domains=none --trial_seeds=1 --nocheck_data "
        "--output=runs/sweep/photos"
    )
    assert ensemble_task(plan.ensembles[0], WORKPLACE).command == (
        "tools.ensemble",
        "--runs=runs/sweep/photos/all_domains-trial0/qtdog7,"
        "runs/sweep/photos/all_domains-trial1/qtdog7",
        "--output=runs/sweep/photos/all_domains-ensemble0/qtdog7",
    )


def test_sources_are_named_only_if_they_are_not_all() -> None:
    values = {"target_domains": ("day",), "source_domains": ("snow",)}
    (trial,) = plan_of(OUTPUT, experiment("a", **values)).trials
    assert "--source_domains=snow" in train_task(trial, WORKPLACE).command
    (trial,) = plan_of(OUTPUT, experiment("a", target_domains=("day",))).trials
    assert not any("source" in flag for flag in train_task(trial, WORKPLACE).command)


TEXT = st.text("ab,\"' =-\\", min_size=1, max_size=6)


@settings(max_examples=30)
@given(
    data=TEXT,
    rate=st.floats(0, 1),
    freeze=st.booleans(),
    names=st.lists(TEXT, min_size=1, max_size=3, unique=True),
)
def test_flags_give_the_settings_back(
    data: str, rate: float, freeze: bool, names: list[str]
) -> None:
    names = [name.strip() or "a" for name in names]
    train = TrainSettings(data=data, learning_rate=rate, freeze_batch_norm=freeze)
    wanted = PlanSettings(target_domains=tuple(names), members=3)
    values = flags.FlagValues()
    define_flags(TrainSettings, AlgorithmSettings, PlanSettings, values=values)
    assert values(["program", *flags_of(train, AlgorithmSettings(), wanted)]) == ["program"]
    assert settings_from_flags(TrainSettings, values=values) == train
    assert settings_from_flags(PlanSettings, values=values) == wanted
    assert flags_of(TrainSettings(), AlgorithmSettings(), RunSettings(), PlanSettings()) == []


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 9))
def test_evaluations_are_counted(start: int, length: int, every: int) -> None:
    stop = start + length
    assert evaluations(start, stop, every) == sum(s % every == 0 for s in range(start, stop))


def test_seconds_left_of_a_trial(tmp_path: Path) -> None:
    schedule = {"steps": 21, "quantize_step": 10, "eval_every": 5, "holdout": 0.2}
    plan = plan_of(
        tmp_path, experiment("a", target_domains=("day",), variants=("erm", "qtdog7"), **schedule)
    )
    (trial,) = plan.trials
    # Validation on a fifth of night (50) and snow (30), and all of day (100); the rest at the end.
    assert evaluated_images(trial) == (10 + 6 + 100, 64)
    speed = Speed(step=2.0, image=0.01, startup=7.0)
    # Two kinds of weights: as trained, and the moving average.
    floating = 7 + 10 * 2 + 2 * (2 * 116) * 0.01
    # Steps 10, 15 and 20, which is the last.
    tail = 7 + 11 * 2 + 2 * (3 * 116 + 64) * 0.01
    states = dict.fromkeys(trial.folders, RunState(State.MISSING))
    assert seconds_left(trial, states, speed) == pytest.approx(floating + 2 * tail)
    states[trial.folders[0]] = RunState(State.FINISHED)
    _reach(trial.folder / "float", 10)
    _reach(trial.folders[1], 16)
    # Step 16 to 20 of one variant are left.
    left = 7 + 5 * 2 + 2 * (1 * 116 + 64) * 0.01
    assert seconds_left(trial, states, speed) == pytest.approx(left)
    states[trial.folders[1]] = RunState(State.FINISHED)
    assert seconds_left(trial, states, speed) == 0


def _reach(folder: Path, step: int) -> None:
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / f"step-{step:06d}.npz").touch()


def test_makespan() -> None:
    assert makespan([3, 1, 1, 4], 1) == 9
    # The second worker does 1, 1 and 4.
    assert makespan([3, 1, 1, 4], 2) == 6
    assert makespan([3, 1], 5) == 3
    assert makespan([], 2) == 0


def test_time_to_go() -> None:
    # 20 of 100 done before; 30 more in a minute leave 50.
    assert time_to_go(100, 20, 50, 60) == pytest.approx(100)
    assert time_to_go(100, 20, 20, 60) is None
    assert [duration(s) for s in (None, 59, 600, 3 * 3600)] == ["?", "1 min", "10 min", "3.0 h"]


def test_a_line_on_the_whole_plan() -> None:
    now = [0.0]
    done = {"a": 100, "b": 0, "c": 40}
    progress = SweepProgress(dict.fromkeys(done, 100), done.__getitem__, {"b": 3.0}, lambda: now[0])
    assert progress.line(0) == "sweep: 140 of 300 steps, 1 of 3 trials, 0 failed, ? to go"
    now[0], done["b"], done["c"] = 600.0, 30, 70
    progress.count({"b": "worker 0", "c": "worker 1"})
    # 30 steps of b count three times: 120 of the 360 that were left took ten minutes.
    assert math.isclose(600 * 240 / 120, 20 * 60)
    assert progress.line(1) == "sweep: 200 of 300 steps, 1 of 3 trials, 1 failed, 20 min to go"


def test_trials_are_of_the_layout_of_tools_train() -> None:
    (trial,) = plan_of(OUTPUT, experiment("a", target_domains=("day", "snow"))).trials
    assert isinstance(trial, TrialRuns)
    assert trial.folders == [OUTPUT / "photos" / "day+snow-trial0" / "qtdog7"]
