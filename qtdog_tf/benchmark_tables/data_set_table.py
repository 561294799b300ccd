"""The table of one data set: methods in rows, target domains in columns, and their average.

Start from `data_set_table`.
"""

from collections.abc import Sequence

from qtdog_tf.benchmark_tables.published_lines import published_lines
from qtdog_tf.benchmark_tables.rows import BenchmarkRow, DataSetRows
from qtdog_tf.benchmark_tables.selection import LEAVE_ONE_DOMAIN_OUT, SELECTIONS
from qtdog_tf.benchmark_tables.table import AVERAGE, Cell, Line, Table, mark_best
from qtdog_tf.evaluation.accuracy_rows import INCOMPLETE, mean_of
from qtdog_tf.report.sentences import counted
from qtdog_tf.statistics import Pair

CAPTION = (
    'accuracy in % on the target\'s "in" part (80 %; rows that say so: on all of its images), mean '
    "+- standard error over trials (population deviation over the root of their number)"
)


def data_set_table(part: DataSetRows, shown: str) -> Table:
    """The table of one data set.

    Args:
        part: its rows.
        shown: published rows to show: "same", "all" or "none".
    """
    lines = mark_best([_line(row, part.targets) for row in part.rows])
    methods = [row.method for row in part.rows]
    printed, said = published_lines(part.data, part.targets, methods, shown, part.rule)
    return Table(
        title=part.data.title,
        selection=part.rule,
        caption=f"{part.data.title}: {CAPTION}. Selection: {SELECTIONS[part.rule]}.",
        columns=(*part.targets, AVERAGE),
        lines=(*lines, *printed),
        notes=(*_notes(part), *said),
    )


def average_cell(row: BenchmarkRow, targets: Sequence[str]) -> Cell:
    """The mean over targets, whose error is over trials; none unless each trial has each target."""
    return _cell(row.averages(targets), row, targets, INCOMPLETE)


def rests_on(row: BenchmarkRow) -> str:
    """How many runs a row rests on, and how many of its figures are there."""
    every = len(row.values) + len(row.missing)
    some = f", {len(row.values)} of {every} figures" * bool(row.missing)
    draws = max(len(choice.draws) for choice in row.choices.values())
    return counted(row.runs, "run") + f", {draws} draws" * (draws > 1) + some


def _line(row: BenchmarkRow, targets: Sequence[str]) -> Line:
    cells = [_cell(row.of_target(target), row, [target], "-") for target in targets]
    cells.append(average_cell(row, targets))
    incomplete = bool(row.missing or row.missing_draws)
    return Line(row.name, tuple(cells), rests_on(row), incomplete)


def _cell(values: Sequence[float], row: BenchmarkRow, targets: Sequence[str], instead: str) -> Cell:
    found = mean_of([100 * value for value in values])
    if found is None:
        return Cell(instead=instead)
    choices = [(*pair, choice) for pair, choice in row.choices.items() if pair[0] in targets]
    return Cell(*found, tuple(choices), instead)


def _notes(part: DataSetRows) -> list[str]:
    notes = [f"* {row.name} lacks {_pairs(row.missing)}" for row in part.rows if row.missing]
    for row in part.rows:
        for (target, trial), draws in row.missing_draws.items():
            notes.append(f"* {row.name}, {target}, trial {trial} lacks {_listed('draw', draws)}")
    if not part.rows:
        notes.append(f"No run has what is asked for. {_NEEDS.get(part.rule, '')}".strip())
    never = [name for name in part.data.domains if name not in part.targets]
    if 0 < len(never) < len(part.data.domains):
        notes.append(f"Never held out: {', '.join(never)}; the average is over the others")
    if part.joint and part.rule != LEAVE_ONE_DOMAIN_OUT:
        notes.append(f"Runs that hold out several domains, for cross-validation only: {part.joint}")
    if part.listings > 1:
        notes.append(f"The runs are of {part.listings} different listings of images")
    return [*notes, *backbone_notes(part.rows)]


def backbone_notes(rows: Sequence[BenchmarkRow]) -> list[str]:
    """A note on the networks of rows, if there are any."""
    backbones = sorted({row.backbone for row in rows})
    return [f"Backbone: {', '.join(backbones)}"] if backbones else []


_NEEDS = {
    LEAVE_ONE_DOMAIN_OUT: (
        "It takes, of a target, the run that holds it out and those that hold out it and one other "
        "domain, each with its results.jsonl (tools.train --target_domains=pairs)."
    )
}


def _pairs(pairs: Sequence[Pair]) -> str:
    trials: dict[str, list[int]] = {}
    for target, trial in pairs:
        trials.setdefault(target, []).append(trial)
    return "; ".join(f"{target}: {_listed('trial', found)}" for target, found in trials.items())


def _listed(name: str, numbers: Sequence[int]) -> str:
    return f"{name}{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"
