"""The rows of a table: methods, each with what was chosen for every target and trial.

Start from `rows_of_data_set`.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from qtdog_tf.benchmark_tables.coverage import count_runs, missing_draws, missing_pairs
from qtdog_tf.benchmark_tables.data_sets import DataSet
from qtdog_tf.benchmark_tables.runs import BenchmarkRun
from qtdog_tf.benchmark_tables.selection import Choice, choose
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation.accuracy_rows import Row
from qtdog_tf.evaluation.images import ALL
from qtdog_tf.evaluation.method_names import average_name, rank
from qtdog_tf.records import IN, RAW
from qtdog_tf.statistics import Pair
from qtdog_tf.training.tables import target_columns

# By part of the target that is reported: what it adds to the name of a row.
_PART_NAMES = {IN: "", ALL: ", all images"}
# Of how many runs stands behind these: "EoQ(5) 7 bits".
_AVERAGES_OF_RUNS = re.compile("EoQ|EoA|DiWA|ensemble")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkRow(Row):
    """The accuracies of one method, and where each is from.

    Attributes:
        method: the name without what tells parts of the target, or rows, apart.
        part: of the target, that is reported.
        choices: by target and trial.
        runs: how many finished runs it rests on: those that were compared too.
        backbone: name of the network.
        group: the folder of all runs.
        missing: targets and trials without a figure that other rows have, or the table's columns.
        missing_draws: for a target and trial, draws of hyperparameters that others of the row have.
    """

    method: str
    part: str
    choices: Mapping[Pair, Choice]
    runs: int
    backbone: str
    group: Path
    missing: tuple[Pair, ...] = ()
    missing_draws: Mapping[Pair, tuple[int, ...]] = dataclasses.field(default_factory=dict)

    @property
    def plain_name(self) -> str:
        """The name without what tells rows apart."""
        return self.method + _PART_NAMES[self.part]


@dataclasses.dataclass(frozen=True, eq=False)
class DataSetRows:
    """The rows of one data set.

    Attributes:
        data: the data set.
        rule: by which everything was chosen.
        targets: the columns.
        rows: one for each method and kind of weights; of an ensemble two, for both parts of the
            target.
        joint: how many runs hold out what is no column.
        listings: how many different listings of images the runs were trained on.
    """

    data: DataSet
    rule: str
    targets: tuple[str, ...]
    rows: tuple[BenchmarkRow, ...]
    joint: int
    listings: int


def rows_of_data_set(
    runs: Sequence[BenchmarkRun], rule: str, weights: Sequence[str], trials: Sequence[int] = ()
) -> DataSetRows:
    """The rows of one data set.

    Args:
        runs: of one data set.
        rule: one of `SELECTIONS`.
        weights: kinds of weights, "raw" and "sma" for example.
        trials: that count, and that a complete row has. Default: every one that a row has, apart
            for single models and ensembles.

    Raises:
        UserError: if two runs claim the same place.
    """
    targets = target_columns(run.targets for run in runs)
    counted = [run for run in runs if not trials or run.trial in trials]
    return DataSetRows(
        data=runs[0].data,
        rule=rule,
        targets=tuple(targets),
        rows=tuple(_make_rows(counted, rule, weights, targets, trials)),
        joint=sum(run.target not in targets for run in runs),
        listings=len({run.listing for run in runs if run.listing}),
    )


def _make_rows(
    runs: Sequence[BenchmarkRun],
    rule: str,
    weights: Sequence[str],
    targets: Sequence[str],
    trials: Sequence[int],
) -> list[BenchmarkRow]:
    methods: dict[tuple[Path, str, str, int], list[BenchmarkRun]] = {}
    for run in runs:
        methods.setdefault((run.group, run.backbone, run.method, run.members), []).append(run)
    rows = []
    for mine in methods.values():
        _refuse_twins(mine)
        for kind in weights:
            for part in (IN, ALL) if mine[0].members else (IN,):
                found = choose(mine, rule, kind, part)
                choices = {pair: found[pair] for pair in sorted(found) if pair[0] in targets}
                if choices:
                    rows.append(_row(mine, kind, part, choices))
    rows = told_apart(sorted(rows, key=lambda row: rank(row.name)))
    return [
        dataclasses.replace(row, missing=missing_pairs(row, rows, targets, trials)) for row in rows
    ]


def _row(
    runs: Sequence[BenchmarkRun], weights: str, part: str, choices: Mapping[Pair, Choice]
) -> BenchmarkRow:
    first = runs[0]
    method = first.method if weights == RAW else average_name(first.method, weights)
    if first.members:
        method = _AVERAGES_OF_RUNS.sub(rf"\g<0>({first.members})", method, count=1)
    return BenchmarkRow(
        name=method + _PART_NAMES[part],
        method=method,
        part=part,
        values={pair: choice.accuracy for pair, choice in choices.items()},
        ensemble=first.members > 0,
        choices=choices,
        runs=count_runs(runs, choices),
        backbone=first.backbone,
        group=first.group,
        missing_draws=missing_draws(runs, choices),
    )


def _refuse_twins(runs: Sequence[BenchmarkRun]) -> None:
    places: dict[tuple[str, int, int], Path] = {}
    for run in runs:
        first = places.setdefault((run.target, run.trial, run.draw), run.path)
        if first != run.path:
            raise UserError(
                f"{first} and {run.path} are the same method, target and trial: name the folders "
                "of runs that the table shall have, without one of them"
            )


def told_apart(rows: list[BenchmarkRow]) -> list[BenchmarkRow]:
    """Names that are there twice get what tells them apart: backbone, folder, or its path."""
    for more in (lambda r: r.backbone, lambda r: r.group.name, lambda r: str(r.group)):
        alike: dict[str, set[str]] = {}
        for row in rows:
            alike.setdefault(row.name, set()).add(_printable(more(row)))
        rows = [
            dataclasses.replace(row, name=f"{row.name} ({_printable(more(row))})")
            if len(alike[row.name]) > 1
            else row
            for row in rows
        ]
    return rows


def _printable(text: str) -> str:
    """A name of a folder without characters that would move the cursor of a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
