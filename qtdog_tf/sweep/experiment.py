"""Experiments: named settings of `tools/train.py`, and what a grid makes of them.

An experiment's runs go to `<output of the sweep>/<group>/`. The group is what the experiment itself
calls its output folder, so its author decides what shares a folder: the flagfiles of ERM, QT-DoG
and EoQ on one data set name one, and then share its float phases, and members where their seeds
are the same. A teacher that lies beside that output moves with it. What a grid changes is added:
`<group>-coral`, `<group>-hparams3-trial0`. Each trial has draws of its own, as in DomainBed, so
that error bars are over the search too.
"""

import dataclasses
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from qtdog_tf.algorithms import AlgorithmSettings
from qtdog_tf.errors import UserError
from qtdog_tf.training.plan_settings import PlanSettings
from qtdog_tf.training.run_settings import RunSettings
from qtdog_tf.training.settings import TrainSettings

Draw = Callable[[str, str, int, int], dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Settings of runs, with a name.

    Attributes:
        name: that of its flagfile.
        group: the folder of its runs within that of the sweep.
        settings: of its runs.
        algorithm: the training method.
        run_settings: how its runs are carried out.
        wanted: which runs there are to be.
    """

    name: str
    group: str
    settings: TrainSettings
    algorithm: AlgorithmSettings
    run_settings: RunSettings
    wanted: PlanSettings


def expand(
    experiments: Iterable[Experiment],
    algorithms: Sequence[str],
    hparams_seeds: Sequence[int],
    draw: Draw,
    given: Collection[str] = (),
) -> list[Experiment]:
    """Each experiment with each method and each draw of hyperparameters.

    Args:
        experiments: as their flagfiles have them.
        algorithms: training methods; empty: each experiment's own.
        hparams_seeds: of the draws; 0 stands for the experiment's own values.
        draw: from method, name of the data set, seed and trial to values of settings by name.
        given: names of settings that were chosen for all experiments, which no draw may change.

    Raises:
        UserError: if a draw would change one of `given`, or draws what is no setting.
    """
    found = []
    for experiment in experiments:
        for algorithm in algorithms or [experiment.algorithm.algorithm]:
            with_method = _with_algorithm(experiment, algorithm)
            for seed in hparams_seeds:
                if seed == 0:
                    found.append(with_method)
                    continue
                for trial in with_method.wanted.trial_seeds:
                    found.append(_with_draw(with_method, seed, trial, draw, given))
    return found


def _with_algorithm(experiment: Experiment, algorithm: str) -> Experiment:
    if algorithm == experiment.algorithm.algorithm:
        return experiment
    changed = dataclasses.replace(experiment.algorithm, algorithm=algorithm)
    return dataclasses.replace(
        experiment, algorithm=changed, group=f"{experiment.group}-{algorithm}"
    )


def _with_draw(
    experiment: Experiment, seed: int, trial: str, draw: Draw, given: Collection[str]
) -> Experiment:
    data = data_name(experiment.settings.data)
    drawn = draw(experiment.algorithm.algorithm, data, seed, int(trial))
    both = sorted(drawn.keys() & set(given))
    if both:
        raise UserError(
            f"hparams_seeds draws {both[0]}, which --{both[0]} fixes for all: leave out one of them"
        )
    names = {field.name for field in dataclasses.fields(TrainSettings)}
    ours = {name: value for name, value in drawn.items() if name in names}
    others = {name: value for name, value in drawn.items() if name not in names}
    return dataclasses.replace(
        experiment,
        group=f"{experiment.group}-hparams{seed}-trial{int(trial)}",
        settings=dataclasses.replace(experiment.settings, **ours),
        algorithm=dataclasses.replace(experiment.algorithm, **others),
        wanted=dataclasses.replace(experiment.wanted, trial_seeds=(trial,)),
    )


def data_name(data: str) -> str:
    """What a data set is called: "pacs" for "tfds:pacs", "data/pacs" and "pacs"."""
    if data.startswith("tfds:"):
        return data.split(":")[1]
    return Path(data).name
