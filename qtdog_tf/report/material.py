"""Everything that a report is made of, read and checked. Start from `gather`."""

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from qtdog_tf.errors import UserError
from qtdog_tf.evaluation.method_names import BASELINE, average_name, rank
from qtdog_tf.pictures.series import Style, styles_for
from qtdog_tf.report.analyses import Analyses, Entry, read_analyses
from qtdog_tf.report.exports import Export, read_exports
from qtdog_tf.report.records import RunRecord, RunSet
from qtdog_tf.report.run_reader import read_runs

# Averages of the weights that have a rule of their own: the last step's.
OWN_RULE = ("swa", "swad")


@dataclasses.dataclass(frozen=True, eq=False)
class Material:
    """What a report shows.

    Attributes:
        title: of the report.
        runs: finished runs, and the folders that they are in.
        analyses: of their models.
        exports: reports of exported files by name.
        baseline: name of the method that the others are compared with.
        styles: how each method is drawn, in every figure.
        run_flag: the runs as a flag of a program, for commands.
        analysis_flag: the analyses as a flag; empty if there are none.
        command: that makes the report.
    """

    title: str
    runs: RunSet
    analyses: Analyses
    exports: Mapping[str, Export]
    baseline: str
    styles: Mapping[str, Style]
    run_flag: str
    analysis_flag: str
    command: str

    @property
    def single_runs(self) -> tuple[RunRecord, ...]:
        """Runs that are no ensemble."""
        return tuple(run for run in self.runs.runs if not run.is_ensemble)

    def record_of(self, entry: Entry) -> RunRecord | None:
        """The run that an analysis is of, if it is among the runs of the report."""
        for run in self.runs.runs:
            if _is_same(run.path, entry.run):
                return run
        # It may have been analysed in another folder than the one that is reported on.
        key = (entry.algorithm, entry.variant, entry.targets, entry.trial)
        alike = [r for r in self.runs.runs if (r.algorithm, r.variant, r.target, r.trial) == key]
        return alike[0] if len(alike) == 1 else None


def _is_same(folder: Path, name: str) -> bool:
    try:
        return folder.resolve() == Path(name).resolve()
    except (OSError, RuntimeError, ValueError):  # no path at all: a zero byte, a loop of links
        return False


def gather(
    *,
    runs: Sequence[str] = (),
    analyses: Sequence[str] = (),
    exports: Sequence[str] = (),
    title: str = "",
    baseline: str = BASELINE,
    command: str = "",
) -> Material:
    """Reads what a report shows.

    Args:
        runs: folders of runs, of trials, or of all runs as tools.train makes them.
        analyses: output folders of tools.analyze.
        exports: files that tools.export_tflite wrote beside its files.
        title: of the report. Default: a plain one.
        baseline: method to compare with. Default "ERM".
        command: that makes the report.

    Raises:
        UserError: if there is nothing to show, or something cannot be read.
    """
    if not (runs or analyses or exports):
        raise UserError("name what to report on: --runs, --analyses or --exports")
    found, analysed = read_runs(runs), read_analyses(analyses)
    names = {run.method for run in found.runs}
    for run in found.runs:
        names |= {average_name(run.method, weights) for weights in run.curves.keys() & OWN_RULE}
        rows = {row.partition("/")[0] for row in run.summary["rows"]}
        names |= {average_name(run.method, weights) for weights in rows & set(OWN_RULE)}
    names |= {entry.method for entry in analysed.entries}
    for analysis in dict.fromkeys(entry.analysis for entry in analysed.entries):
        names |= analysed.of(analysis).keys()
    # The baseline is in the page's own ink.
    order = sorted(names, key=lambda name: (name != baseline, rank(name)))
    shown = runs or sorted({entry.run for entry in analysed.entries}) or ["<runs>"]
    return Material(
        title=title or "Report of runs",
        runs=found,
        analyses=analysed,
        exports=read_exports(exports),
        baseline=baseline,
        styles=styles_for(order),
        run_flag=shlex.quote("--runs=" + ",".join(shown)),
        analysis_flag=shlex.quote("--analyses=" + ",".join(analyses)) if analyses else "",
        command=command,
    )


def analyze_command(material: Material, *analyses: str) -> str:
    """The command that makes an analysis of the runs of a report."""
    chosen = ",".join(analyses)
    return f"python -m tools.analyze {material.run_flag} --analyses={chosen} --output=analyses"


def report_command(material: Material, *, analyses: bool) -> str:
    """The command that draws a figure from runs, and from analyses if it needs them."""
    flags = [material.run_flag, material.analysis_flag] if analyses else [material.run_flag]
    shown = " ".join(flag for flag in flags if flag)
    return f"python -m tools.report {shown} --output=report.html"
