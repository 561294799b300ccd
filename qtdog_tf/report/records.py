"""What a report knows of finished runs, and of the folders that they are in."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True, eq=False)
class RunRecord:
    """What a report knows of a finished run, or of an ensemble.

    Attributes:
        path: its folder.
        output: the folder of all runs that it is in.
        method: name of what it was trained by; runs of one name are averaged.
        algorithm: the training method, "erm" for example.
        summary: its summary.json.
        curves: accuracy over steps and its stability, by kind of weights, see
            `qtdog_tf.analysis.stability.stability`; empty without a log, or if not asked for.
        start: step K; None if the settings are not there.
        from_step: the first step that source validation could select.
    """

    path: Path
    output: Path
    method: str
    algorithm: str
    summary: Mapping[str, Any]
    curves: Mapping[str, Mapping[str, Any]]
    start: int | None
    from_step: int

    @property
    def variant(self) -> str:
        """What happened from step K on, "qtdog7" for example."""
        return self.summary["variant"]["name"]

    @property
    def target(self) -> str:
        """The domains held out, joined by "+"; empty if there is none."""
        return "+".join(self.summary["targets"])

    @property
    def trial(self) -> int:
        """The trial, which chose the split."""
        return self.summary["trial_seed"]

    @property
    def is_ensemble(self) -> bool:
        """Whether it is an average of several runs."""
        return "members" in self.summary


@dataclasses.dataclass(frozen=True, eq=False)
class Output:
    """An output folder of tools.train.

    Attributes:
        path: the folder.
        settings: of all its runs; empty if they are not there.
        versions: of what a result may depend on, the git commit among them.
        images: by domain and part, how many, in the first of its trials.
        classes: names of the classes.
    """

    path: Path
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    images: Mapping[str, Mapping[str, int]]
    classes: tuple[str, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class RunSet:
    """All runs of a report, the folders that they are in, and the runs that are not finished."""

    runs: tuple[RunRecord, ...] = ()
    outputs: tuple[Output, ...] = ()
    unfinished: tuple[Path, ...] = ()


def output_of(run: Path) -> Path:
    """The folder of all runs that a run is in, as a person would write it."""
    if len(run.parts) > 2 and ".." not in run.parts:
        return run.parent.parent
    return Path(os.path.relpath(run.resolve().parent.parent))
