"""Tables of runs: means and errors as DomainBed takes them, incomplete rows marked."""

import math

import pytest

from qtdog_tf.statistics import standard_error
from qtdog_tf.tables import format_table
from qtdog_tf.training.tables import SELECTED_SMA, paired_table, row_name, run_table, trial_table


def summary(variant: str, target: str, trial: int, accuracy: float) -> dict:
    row = {"step": 9, "source_accuracy": 0.9, "target_in": accuracy, "target_out": 0.5}
    return {
        "variant": {"name": variant, "bits": 7},
        "targets": [target],
        "trial_seed": trial,
        "bytes": 3_000_000,
        "rows": {SELECTED_SMA: row},
    }


RUNS = [
    summary("erm", "line", 0, 0.50),
    summary("erm", "line", 1, 0.60),
    summary("erm", "flat", 0, 0.80),
    summary("erm", "flat", 1, 0.80),
    summary("qtdog7", "line", 0, 0.70),
    summary("qtdog7", "flat", 0, 0.80),
    summary("qtdog7", "flat", 1, 0.90),
]


def test_standard_error_is_the_population_one() -> None:
    # Values 1, 2, 3: population variance 2/3, over three trials.
    assert standard_error([1.0, 2.0, 3.0]) == pytest.approx(math.sqrt(2 / 3 / 3))


def test_means_over_trials_and_the_average_per_trial() -> None:
    lines = trial_table(RUNS, SELECTED_SMA).splitlines()
    assert lines[0].split() == ["variant", "flat", "line", "average", "runs"]
    # Averages of the two trials: 65 and 70; their population deviation 2.5, over sqrt(2).
    assert " ".join(lines[2].split()) == "erm 80.0 +- 0.0 55.0 +- 3.5 67.5 +- 1.8 4"


def test_incomplete_rows_are_marked() -> None:
    row = trial_table(RUNS, SELECTED_SMA).splitlines()[3]
    assert " ".join(row.split()) == "qtdog7 85.0 +- 3.5 70.0 incomplete 3"


def test_the_average_pairs_runs_of_one_trial() -> None:
    # Trials 1 and 2 of "line", 0 and 1 of "flat": as many, but only one that both have.
    failed = {("line", 1): 0.60, ("line", 2): 0.60, ("flat", 0): 0.80, ("flat", 1): 0.80}
    assert erm_row(failed) == "erm 80.0 +- 0.0 60.0 +- 0.0 incomplete 4"
    # In whatever order the runs are read: averages of the trials are 50 and 90.
    mixed = {("line", 0): 0.40, ("line", 1): 0.80, ("flat", 1): 1.00, ("flat", 0): 0.60}
    assert erm_row(mixed).endswith(f" 70.0 +- {20 / math.sqrt(2):.1f} 4")


def erm_row(accuracies: dict[tuple[str, int], float]) -> str:
    """The table's row of runs, by target and trial."""
    runs = [summary("erm", *of_run, accuracy) for of_run, accuracy in accuracies.items()]
    return " ".join(trial_table(runs, SELECTED_SMA).splitlines()[2].split())


def test_domains_held_out_together_are_no_part_of_the_average() -> None:
    pair = {**summary("erm", "line", 0, 0.10), "targets": ["flat", "line"]}
    lines = trial_table([*RUNS[:4], pair], SELECTED_SMA).splitlines()
    assert lines[0].split() == ["variant", "flat", "line", "average", "runs"]
    assert lines[2].split()[-4:] == ["67.5", "+-", "1.8", "4"]
    assert trial_table([pair], SELECTED_SMA).splitlines()[2].split() == ["erm", "10.0", "10.0", "1"]


def test_one_row_a_run() -> None:
    table = run_table(RUNS[:1]).splitlines()
    assert " ".join(table[2].split()) == "line 0 erm 7 3.00 9 90.0 50.0 - - - - 50.0"


def test_columns_line_up() -> None:
    lines = format_table(["name", "x"], [["a", "1.0"], ["longer", "22.0"]]).splitlines()
    assert lines == ["name       x", "------------", "a        1.0", "longer  22.0"]


def test_paired_differences_by_hand() -> None:
    lines = paired_table(RUNS, "erm", SELECTED_SMA, "target_in").splitlines()
    # Pairs: line 0: +20, flat 0: 0, flat 1: +10. Mean 10, sample deviation 10, over sqrt(3).
    assert " ".join(lines[2].split()) == "qtdog7 +10.0 5.8 2 / 0 3"
    assert len(lines) == 3


def test_rows_say_the_algorithm() -> None:
    """Also of what stays float under it: the variant "erm" of SAM is SAM."""
    sam = [{**run, "algorithm": "sam"} for run in RUNS]
    names = {"erm": "sam", "erm_m2": "sam_m2", "qtdog7_m1": "sam+qtdog7_m1"}
    for variant, name in names.items():
        assert row_name({**summary(variant, "line", 0, 0.5), "algorithm": "sam"}) == name
        assert row_name({**summary(variant, "line", 0, 0.5), "algorithm": "erm"}) == variant
    assert run_table(sam[:1]).splitlines()[2].split()[2] == "sam"
    rows = trial_table([*RUNS, *sam], SELECTED_SMA).splitlines()[2:]
    assert [row.split()[0] for row in rows] == ["erm", "qtdog7", "sam", "sam+qtdog7"]
    for baseline in ("erm", "sam"):
        title, _, row = paired_table(sam, baseline, SELECTED_SMA, "target_in").splitlines()
        assert title.startswith("variant minus sam ")
        assert " ".join(row.split()) == "sam+qtdog7 +10.0 5.8 2 / 0 3"
    # Of both kinds the row of that very name is the baseline.
    both = paired_table([*sam, *RUNS], "erm", SELECTED_SMA, "target_in").splitlines()
    assert [row.split()[0] for row in both[2:]] == ["sam", "sam+qtdog7", "qtdog7"]
