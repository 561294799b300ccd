"""Experiments, domains and trials for the tests of sweeps, without files and without training."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from qtdog_tf.algorithms import AlgorithmSettings
from qtdog_tf.data.domains import Domain, DomainSet
from qtdog_tf.sweep.experiment import Experiment
from qtdog_tf.sweep.plan import Plan, make_plan
from qtdog_tf.training.plan_settings import PlanSettings
from qtdog_tf.training.run_settings import RunSettings
from qtdog_tf.training.settings import TrainSettings

IMAGES = {"day": 100, "night": 50, "snow": 30}


def open_data(name: str) -> DomainSet:
    domains = [
        Domain(domain, tuple(f"{domain}{i}.png" for i in range(count)), np.zeros(count))
        for domain, count in IMAGES.items()
    ]
    return DomainSet(name, ("cat",), tuple(domains))


def experiment(
    name: str, group: str = "photos", algorithm: str = "erm", **values: Any
) -> Experiment:
    """An experiment whose settings are the defaults but for `values`, whichever class has them."""

    chosen = {"algorithm": algorithm, **values}

    def of(cls: Any) -> Any:
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{n: v for n, v in chosen.items() if n in names})

    return Experiment(
        name,
        group,
        of(TrainSettings),
        of(AlgorithmSettings),
        of(RunSettings),
        of(PlanSettings),
    )


def plan_of(output: Path, *experiments: Experiment) -> Plan:
    opened: dict[str, DomainSet] = {}
    return make_plan(experiments, output, lambda name: opened.setdefault(name, open_data(name)))
