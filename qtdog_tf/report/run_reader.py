"""Reads finished runs for a report: what they are, what they reached, their curves.

Models are not needed, nor the data: folders whose `.keras` files are gone will do. Start from
`read_runs`.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from qtdog_tf.analysis.stability import selectable_from, stability
from qtdog_tf.errors import UserError, one_line
from qtdog_tf.evaluation.method_names import method_name
from qtdog_tf.evaluation.run_folder import runs_inside
from qtdog_tf.evaluation.summary_values import read_summary
from qtdog_tf.report.records import Output, RunRecord, RunSet, output_of
from qtdog_tf.report.shapes import ANYTHING, COUNT, NUMBER, TEXT, Each, check, read_checked
from qtdog_tf.runs import FLOAT_PHASE, ResultsLog
from qtdog_tf.training.finish import SUMMARY

_REMEDY = "restore it, or train the run again"
_SETTINGS = {"identity": Each(ANYTHING), "versions?": Each(TEXT)}
_DATA = {"identity": {"images": Each(Each(COUNT)), "classes": [TEXT]}}
_SUMMARY = {
    "rows": Each(Each(ANYTHING)),
    "variant": {"name": TEXT},
    "bytes?": NUMBER,
    "float_bytes?": NUMBER,
}
_LOG = "results.jsonl"


def read_runs(paths: Iterable[str | Path], *, curves: bool = True) -> RunSet:
    """Reads runs.

    Args:
        paths: folders of a run, of a trial, or of all runs as tools.train makes them.
        curves: read the logs too, for the curves of the runs.

    Raises:
        UserError: if one does not exist, holds no finished run, or a file in it is damaged.
    """
    folders: list[Path] = []
    unfinished: list[Path] = []
    for path in paths:
        finished, others = _find(Path(path).expanduser())
        folders += finished
        unfinished += others
    # A folder may be named twice, also by another way to it: it goes by the first of its names.
    runs: dict[Path, Path] = {}
    outputs: dict[Path, Output] = {}
    for folder in folders:
        runs.setdefault(folder.resolve(), folder)
        output = output_of(folder)
        if output.resolve() not in outputs:
            outputs[output.resolve()] = _read_output(output)
    records = [_read_run(run, outputs[output_of(run).resolve()], curves) for run in runs.values()]
    return RunSet(
        tuple(_told_apart(records)), tuple(outputs.values()), tuple(dict.fromkeys(unfinished))
    )


def _find(path: Path) -> tuple[list[Path], list[Path]]:
    """Folders of finished and of unfinished runs in a folder."""
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise UserError(f"run folder {path} {what}")
    if (path / SUMMARY).is_file():
        return [path], []
    finished = runs_inside(path, SUMMARY)
    unfinished = [p for p in runs_inside(path, _LOG) if p not in finished and p.name != FLOAT_PHASE]
    if not finished:
        more = f" ({len(unfinished)} are not finished)" * bool(unfinished)
        raise UserError(f"{path} holds no finished run{more}: name an output folder of tools.train")
    return finished, unfinished


def _read_output(folder: Path) -> Output:
    settings: Mapping[str, Any] = {}
    if (folder / "settings.json").is_file():
        settings = read_checked(folder / "settings.json", _SETTINGS, _REMEDY)
    images: Mapping[str, Mapping[str, int]] = {}
    classes: list[str] = []
    for path in sorted(folder.glob("*-trial*/data.json"))[:1]:
        identity = read_checked(path, _DATA, _REMEDY)["identity"]
        images, classes = identity["images"], identity["classes"]
    return Output(
        folder,
        settings.get("identity", {}),
        settings.get("versions", {}),
        images,
        tuple(classes),
    )


def _read_run(folder: Path, output: Output, curves: bool) -> RunRecord:
    summary = read_summary(folder / SUMMARY)
    check(folder / SUMMARY, summary, _SUMMARY, _REMEDY)
    algorithm = summary.get("algorithm", output.settings.get("algorithm", "erm"))
    start = output.settings.get("quantize_step")
    if not isinstance(algorithm, str) or not (start is None or type(start) is int):
        raise UserError(
            f"{output.path / 'settings.json'} is damaged (algorithm or quantize_step): {_REMEDY}"
        )
    variant = summary["variant"]["name"]
    from_float = bool(output.settings.get("select_from_float", False))
    from_step = selectable_from(summary, variant, start or 0, from_float)
    return RunRecord(
        path=folder,
        output=output.path,
        method=method_name(algorithm, variant),
        algorithm=algorithm,
        summary=summary,
        curves=_read_curves(folder / _LOG, start or 0, from_step) if curves else {},
        start=start,
        from_step=from_step,
    )


def _read_curves(path: Path, start: int, from_step: int) -> Mapping[str, Mapping[str, Any]]:
    evaluations = ResultsLog(path).read()
    if not evaluations:
        return {}
    try:
        return stability(evaluations, start=start, from_step=from_step)["weights"]
    except (LookupError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged ({one_line(error)}): {_REMEDY}") from error


def _told_apart(records: list[RunRecord]) -> list[RunRecord]:
    """Adds the name of the folder where two folders hold the same method, target and trial."""
    places: dict[tuple[str, str, int], set[Path]] = {}
    for record in records:
        key = (record.method, record.target, record.trial)
        places.setdefault(key, set()).add(record.output)
    twice = {key[0] for key, folders in places.items() if len(folders) > 1}
    names = _shortest_names({record.output for record in records})
    return [
        dataclasses.replace(r, method=f"{r.method} ({names[r.output]})") if r.method in twice else r
        for r in records
    ]


def _shortest_names(folders: set[Path]) -> dict[Path, str]:
    parts = {folder: folder.resolve().parts for folder in folders}
    for depth in range(1, max(map(len, parts.values()), default=0)):
        names = {folder: "/".join(part[-depth:]) for folder, part in parts.items()}
        if len(set(names.values())) == len(folders):
            return names
    return {folder: str(folder) for folder in folders}
