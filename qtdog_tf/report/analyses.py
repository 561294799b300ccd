"""Reads what tools.analyze wrote: one JSON file an analysis, run and model. See `read_analyses`."""

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from qtdog_tf.errors import UserError
from qtdog_tf.evaluation.method_names import rank
from qtdog_tf.report.analysis_shapes import RESULTS
from qtdog_tf.report.consistency import inconsistency
from qtdog_tf.report.shapes import (
    ANYTHING,
    COUNT,
    NUMBER_OR_NONE,
    TEXT,
    Each,
    check,
    read_any,
)

_REMEDY = "run tools.analyze again"
PLANE = "plane"
_ENTRY = {
    **dict.fromkeys(("label", "run", "method", "model"), TEXT),
    "variant": TEXT,
    "algorithm": TEXT,
    "targets": [TEXT],
    "trial_seed": COUNT,
    "settings?": Each(ANYTHING),
    "command?": TEXT,
    "seconds?": NUMBER_OR_NONE,
}


@dataclasses.dataclass(frozen=True, eq=False)
class Entry:
    """One analysis of one model.

    Attributes:
        analysis: its name, "flatness" for example.
        label: short name of the run.
        run: folder of the run, which may be gone.
        method: what rows and curves are named by.
        model: which model of the run, "selected_sma" for example.
        variant: what happened from step K on, "qtdog7" for example.
        algorithm: the training method, "erm" for example.
        targets: domains held out, joined by "+".
        trial: of the run.
        command: that made it; empty if unknown.
        seconds: that it took; None if unknown.
        settings: of the analysis.
        result: what was found.
    """

    analysis: str
    label: str
    run: str
    method: str
    model: str
    variant: str
    algorithm: str
    targets: str
    trial: int
    command: str
    seconds: float | None
    settings: Mapping[str, Any]
    result: Mapping[str, Any]

    @property
    def pair(self) -> tuple[str, int]:
        """Target and trial, which comparisons are paired by."""
        return self.targets, self.trial


@dataclasses.dataclass(frozen=True, eq=False)
class Analyses:
    """All analyses of a report.

    Attributes:
        entries: of single models.
        planes: results of plane analyses, each with the command that made it.
    """

    entries: tuple[Entry, ...] = ()
    planes: tuple[tuple[Mapping[str, Any], str], ...] = ()

    def of(self, analysis: str) -> dict[str, list[Entry]]:
        """The entries of one analysis by the name of their series, methods in their order.

        A series is named by its method, and by its model too if a method has several.
        """
        mine = [entry for entry in self.entries if entry.analysis == analysis]
        models: dict[str, set[str]] = {}
        for entry in mine:
            models.setdefault(entry.method, set()).add(entry.model)
        series: dict[str, list[Entry]] = {}
        for entry in sorted(mine, key=lambda e: (rank(e.method), e.model)):
            several = len(models[entry.method]) > 1
            name = f"{entry.method} ({entry.model})" if several else entry.method
            series.setdefault(name, []).append(entry)
        return series


def read_analyses(folders: Iterable[str | Path]) -> Analyses:
    """Reads every analysis in folders.

    Args:
        folders: output folders of tools.analyze.

    Returns:
        The analyses; files of other names are left alone.

    Raises:
        UserError: if a folder does not exist or holds none, a file is damaged, or two are of the
            same analysis and model.
    """
    entries: dict[tuple[str, str, str], tuple[Path, Entry]] = {}
    planes = []
    for folder in map(Path, folders):
        paths = _find(folder)
        for path in paths:
            values = read_any(path, _REMEDY)
            analysis = path.stem
            _check_result(path, analysis, values)
            if analysis == PLANE:
                planes.append((values["result"], str(values.get("command", ""))))
                continue
            entry = _entry(path, analysis, values)
            key = (analysis, entry.run, entry.model)
            if key in entries:
                raise UserError(
                    f"{entries[key][0]} and {path} are the same analysis of the same model: name "
                    "one of the two folders"
                )
            entries[key] = path, entry
    return Analyses(tuple(entry for _, entry in entries.values()), tuple(planes))


def _find(folder: Path) -> list[Path]:
    folder = folder.expanduser()
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder: name an output folder of tools.analyze")
    paths = sorted(path for path in folder.rglob("*.json") if path.stem in RESULTS)
    if not paths:
        raise UserError(f"{folder} holds no analysis: name an output folder of tools.analyze")
    return paths


def _check_result(path: Path, analysis: str, values: Any) -> None:
    check(path, values, {"result": RESULTS[analysis]}, _REMEDY)
    wrong = inconsistency(analysis, values["result"])
    if wrong is not None:
        raise UserError(f"{path} is damaged ({wrong}): {_REMEDY}")


def _entry(path: Path, analysis: str, values: Mapping[str, Any]) -> Entry:
    check(path, values, _ENTRY, _REMEDY)
    return Entry(
        analysis=analysis,
        label=values["label"],
        run=values["run"],
        method=values["method"],
        model=values["model"],
        variant=values["variant"],
        algorithm=values["algorithm"],
        targets="+".join(values["targets"]),
        trial=values["trial_seed"],
        command=values.get("command", ""),
        seconds=values.get("seconds"),
        settings=values.get("settings", {}),
        result=values["result"],
    )
