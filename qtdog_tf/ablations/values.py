"""The figures of a table's rows, from the folders of finished runs. Start from `read_rows`."""

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

from qtdog_tf.ablations.types import AblationRow, AblationTable
from qtdog_tf.evaluation.method_names import row_of_model
from qtdog_tf.evaluation.run_folder import MODELS
from qtdog_tf.evaluation.run_values import MEMBERS
from qtdog_tf.evaluation.summary_values import read_summary
from qtdog_tf.files import read_json
from qtdog_tf.runs import FLOAT_PHASE, TIMES
from qtdog_tf.statistics import Pair
from qtdog_tf.training.finish import SUMMARY


@dataclasses.dataclass(frozen=True)
class RowValues:
    """What was measured of one row, by target and trial.

    Attributes:
        row: the row.
        values: accuracies (0 to 1), see `AblationTable.key`.
        validation: accuracies on source validation.
        minutes: how long training took, see `training_minutes`; left out where it is not known.
    """

    row: AblationRow
    values: Mapping[Pair, float]
    validation: Mapping[Pair, float]
    minutes: Mapping[Pair, float]


def run_folder(trial: Path, row: AblationRow, model: str) -> Path:
    """The folder of the run that a row reports.

    Args:
        trial: the folder of its trial; of a pooled row `<targets>-ensemble<t>` instead.
        row: the row.
        model: that is asked for.
    """
    chosen = row.model or model
    # A run quantized after training holds the models that it was made of; so does an ensemble, and
    # tools.train makes one of the default model.
    named = row.after_training or (row.pooled and chosen != MODELS[0])
    return trial / (f"{row.variant}-{chosen}" if named else row.variant)


def read_rows(
    table: AblationTable, trials: Mapping[str, Iterable[tuple[Pair, Path]]], model: str
) -> list[RowValues]:
    """The figures of every row; runs that are not finished are left out.

    Args:
        table: the table.
        trials: target, trial seed and folder of each trial, by experiment; ensembles included.
        model: which model of each run, see `MODELS`, for rows that do not say.

    Raises:
        UserError: if a summary is damaged.
    """
    found = []
    for row in table.rows:
        values: dict[Pair, float] = {}
        validation: dict[Pair, float] = {}
        minutes: dict[Pair, float] = {}
        for pair, folder in trials.get(row.experiment, ()):
            path = run_folder(folder, row, model) / SUMMARY
            if not path.exists():
                continue
            summary = read_summary(path)
            measured = summary["rows"].get(row_of_model(row.model or model), {})
            for key, by_pair in ((table.key, values), ("source_accuracy", validation)):
                if key in measured:
                    by_pair[pair] = measured[key]
            members = [Path(member["run"]).parent.name for member in summary.get(MEMBERS, ())]
            parts = [folder.with_name(name) for name in members] or [folder]
            times = [training_minutes(part, row.trained) for part in parts]
            if None not in times:
                minutes[pair] = sum(time or 0.0 for time in times)
        found.append(RowValues(row, values, validation, minutes))
    return found


def training_minutes(trial: Path, variant: str) -> float | None:
    """How long a run took, evaluations and the float phase that it shares included.

    Args:
        trial: its trial's folder.
        variant: its name.

    Returns:
        The minutes; None if the trial has no such record.
    """
    if not (trial / TIMES).exists():
        return None
    entries = [entry for entry in read_json(trial / TIMES) if {"phase", "seconds"} <= set(entry)]
    if variant not in [entry["phase"] for entry in entries]:
        return None
    phases = (FLOAT_PHASE, variant)
    return sum(entry["seconds"] for entry in entries if entry["phase"] in phases) / 60
