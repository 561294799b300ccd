"""The figures of a table's rows, from the folders of finished runs. Start from `read_rows`."""

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

from qtdog_tf.ablations.types import AblationRow, AblationTable
from qtdog_tf.evaluation.accuracy_rows import Pair
from qtdog_tf.evaluation.method_names import row_of_model
from qtdog_tf.evaluation.summary_values import read_summary
from qtdog_tf.training.finish import SUMMARY


@dataclasses.dataclass(frozen=True)
class RowValues:
    """What was measured of one row, by target and trial.

    Attributes:
        row: the row.
        values: accuracies (0 to 1), see `AblationTable.key`.
        validation: accuracies on source validation.
    """

    row: AblationRow
    values: Mapping[Pair, float]
    validation: Mapping[Pair, float]


def run_folder(trial: Path, row: AblationRow, model: str) -> Path:
    """The folder of the run that a row reports.

    Args:
        trial: the folder of its trial.
        row: the row.
        model: that is asked for.
    """
    # A run quantized after training holds the models that it was made of.
    chosen = row.model or model
    return trial / (f"{row.variant}-{chosen}" if row.after_training else row.variant)


def read_rows(
    table: AblationTable, trials: Mapping[str, Iterable[tuple[Pair, Path]]], model: str
) -> list[RowValues]:
    """The figures of every row; runs that are not finished are left out.

    Args:
        table: the table.
        trials: target, trial seed and folder of each trial, by experiment.
        model: which model of each run, see `MODELS`, for rows that do not say.

    Raises:
        UserError: if a summary is damaged.
    """
    found = []
    for row in table.rows:
        values: dict[Pair, float] = {}
        validation: dict[Pair, float] = {}
        for pair, folder in trials.get(row.experiment, ()):
            path = run_folder(folder, row, model) / SUMMARY
            if path.exists():
                measured = read_summary(path)["rows"].get(row_of_model(row.model or model), {})
                if table.key in measured:
                    values[pair] = measured[table.key]
                if "source_accuracy" in measured:
                    validation[pair] = measured["source_accuracy"]
        found.append(RowValues(row, values, validation))
    return found
