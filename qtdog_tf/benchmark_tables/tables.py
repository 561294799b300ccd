"""All tables of a set of runs. See `make_tables`."""

from collections.abc import Sequence

from qtdog_tf.benchmark_tables.data_set_table import data_set_table
from qtdog_tf.benchmark_tables.data_sets import DataSet
from qtdog_tf.benchmark_tables.published_lines import SAME
from qtdog_tf.benchmark_tables.rows import rows_of_data_set
from qtdog_tf.benchmark_tables.runs import BenchmarkRun
from qtdog_tf.benchmark_tables.summary_table import summary_table
from qtdog_tf.benchmark_tables.table import Table
from qtdog_tf.records import RAW, SMA


def make_tables(
    runs: Sequence[BenchmarkRun],
    rule: str,
    weights: Sequence[str] = (RAW, SMA),
    trials: Sequence[int] = (),
    shown: str = SAME,
) -> list[Table]:
    """One table a data set, in the order of their titles, and one of their averages.

    Args:
        runs: finished runs.
        rule: one of `SELECTIONS`.
        weights: kinds of weights that get rows. Default: as trained, and their moving average.
        trials: that count; a row that lacks one is marked. Default: every one that there is.
        shown: published rows beside: "same" (of methods that have a row), "all" or "none".

    Raises:
        UserError: if two runs claim the same place.
    """
    by_data: dict[DataSet, list[BenchmarkRun]] = {}
    for run in runs:
        by_data.setdefault(run.data, []).append(run)
    order = sorted(by_data, key=lambda data: (data.title, data.domains, data.classes))
    parts = [rows_of_data_set(by_data[data], rule, weights, trials) for data in order]
    tables = [data_set_table(part, shown) for part in parts]
    return [*tables, summary_table(parts, shown)] if len(parts) > 1 else tables
