"""Finished runs as tables take them. Start from `read_benchmark_runs`.

A folder `<group>-hparams<h>-trial<t>` beside `<group>` holds the runs of trial t with the h-th
random draw of hyperparameters for it; the group itself is draw 0. What else such a folder holds,
members of an ensemble that are other trials, is no draw for those.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qtdog_tf.benchmark_tables.data_sets import DataSet, identify
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation.method_names import method_name
from qtdog_tf.evaluation.run_folder import runs_inside
from qtdog_tf.evaluation.run_values import is_printable
from qtdog_tf.records import IN, OUT, Evaluation
from qtdog_tf.report.records import RunRecord
from qtdog_tf.report.run_reader import read_runs
from qtdog_tf.report.shapes import ANYTHING, COUNT, NUMBER, TEXT, Each, check
from qtdog_tf.runs import ResultsLog
from qtdog_tf.training.finish import SUMMARY
from qtdog_tf.training.tables import ERM
from qtdog_tf.training.variants import split_member

LOG = "results.jsonl"
_REMEDY = "restore it, or train the run again"
_DRAW = re.compile(r"(.+)-hparams(\d{1,9})-trial(\d{1,9})")
_TRIAL_OF_ENSEMBLE = re.compile(r".*-ensemble(\d{1,9})")
_SUMMARY = {
    "backbone": TEXT,
    "classes": [TEXT],
    "sources": [TEXT],
    "data": TEXT,
    "listing?": TEXT,
    "images?": Each(ANYTHING),
    "members?": [ANYTHING],
    "rows": Each({"step?": COUNT, "source_accuracy?": NUMBER}),
}


@dataclasses.dataclass(frozen=True, eq=False)
class BenchmarkRun:
    """A finished run, or an ensemble of several.

    Attributes:
        path: its folder.
        data: the data set.
        group: the folder of all runs, without "-hparams<h>-trial<t>".
        draw: h; 0 without.
        method: what it was trained by, see `method_name`.
        backbone: name of the network.
        targets: domains held out, sorted.
        trial: the trial; of an ensemble its own, not one of its members.
        members: how many it is made of; 0 if it is a single run.
        rows: of its summary.json, see `summarize`.
        from_step: the first step that may be selected.
        listing: of the images, see `DomainSet.fingerprint`; empty if not known.
        evaluations: every line of its results.jsonl; empty if that was not read or is not there.
    """

    path: Path
    data: DataSet
    group: Path
    draw: int
    method: str
    backbone: str
    targets: tuple[str, ...]
    trial: int
    members: int
    rows: Mapping[str, Mapping[str, Any]]
    from_step: int = 0
    listing: str = ""
    evaluations: tuple[Evaluation, ...] = ()

    @property
    def target(self) -> str:
        """The domains held out, joined by "+"."""
        return "+".join(self.targets)


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    """What was found: finished runs with a target, and the folders of those that go on."""

    runs: tuple[BenchmarkRun, ...]
    unfinished: tuple[Path, ...]


def read_benchmark_runs(paths: Sequence[str | Path], *, logs: bool = False) -> Found:
    """Reads finished runs; their summary.json is enough.

    Args:
        paths: each the folder of a run, of a trial, of all runs as tools.train makes them, or of
            several such folders.
        logs: read results.jsonl too, where it is there.

    Raises:
        UserError: if there is no finished run with a target, or a file is damaged; with `logs` also
            if nothing says from which step on a run may be selected.
    """
    folders = [folder for path in paths for folder in _outputs(Path(path).expanduser())]
    finished = [folder for folder in folders if _has_result(folder)]
    found = read_runs(finished or folders, curves=False)
    held_out = [record for record in found.runs if record.target]
    runs = tuple(_benchmark_run(record, logs) for record in held_out if _has_its_draw(record))
    if not runs:
        raise UserError(f"{', '.join(map(str, paths))} has no finished run with a target domain")
    begun = [run for f in folders if f not in finished for run in runs_inside(f, LOG)]
    return Found(runs, (*found.unfinished, *begun))


def _outputs(path: Path) -> list[Path]:
    """The folder itself, or those in it if it is one of a whole sweep."""
    if _has_result(path) or not path.is_dir():
        return [path]
    inside = [child for child in sorted(path.iterdir()) if child.is_dir()]
    return [child for child in inside if _has_result(child) or runs_inside(child, LOG)] or [path]


def _has_result(path: Path) -> bool:
    return (path / SUMMARY).is_file() or bool(runs_inside(path, SUMMARY))


def _has_its_draw(record: RunRecord) -> bool:
    group = _DRAW.fullmatch(record.output.name)
    return not group or int(group[3]) == _trial(record)


def _benchmark_run(record: RunRecord, logs: bool) -> BenchmarkRun:
    summary, path = record.summary, record.path / SUMMARY
    check(path, summary, _SUMMARY, _REMEDY)
    domains = [*summary.get("images", ()), *summary["sources"], *summary["targets"]]
    method = method_name(record.algorithm, record.variant)
    names = [method, summary["backbone"], summary["data"], *summary["classes"], *domains]
    if not all(map(is_printable, names)):
        raise UserError(f"{path} is damaged (a name that cannot be printed): {_REMEDY}")
    group = _DRAW.fullmatch(record.output.name)
    return BenchmarkRun(
        path=record.path,
        data=identify(set(domains), summary["classes"], summary["data"]),
        group=record.output.with_name(group[1]) if group else record.output,
        draw=int(group[2]) if group else 0,
        method=method,
        backbone=summary["backbone"],
        targets=tuple(sorted(summary["targets"])),
        trial=_trial(record),
        members=len(summary.get("members", ())),
        rows=summary["rows"],
        from_step=record.from_step,
        listing=summary.get("listing", ""),
        evaluations=_read_log(record) if logs else (),
    )


def _read_log(record: RunRecord) -> tuple[Evaluation, ...]:
    log = ResultsLog(record.path / LOG)
    evaluations = tuple(log.read())
    if evaluations and not _knows_its_steps(record):
        raise UserError(
            f"{record.output} has no settings.json, which says from which step on {record.path} "
            "may be selected: leave it in the folder that tools.train made"
        )
    for number, evaluation in enumerate(evaluations, 1):
        sources = [OUT in parts for parts in evaluation.source.values()]
        targets = [{IN, OUT} <= parts.keys() for parts in evaluation.target.values()]
        same = sorted(evaluation.target) == sorted(record.summary["targets"])
        if not (same and sources and all(sources + targets)):
            raise UserError(f"{log.path}, line {number} lacks a domain or a part: {_REMEDY}")
    return evaluations


def _knows_its_steps(record: RunRecord) -> bool:
    """Whether float steps before quantization are told apart; a float run has none."""
    recorded = record.start is not None or "selected_from" in record.summary
    return recorded or split_member(record.variant)[0] == ERM


def _trial(record: RunRecord) -> int:
    # The trial seed of an ensemble's summary is that of its first member.
    own = _TRIAL_OF_ENSEMBLE.fullmatch(record.path.parent.name)
    return int(own[1]) if own and record.is_ensemble else record.trial
