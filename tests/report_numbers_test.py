"""The arithmetic of a report agrees with that of tools.compare, with NumPy, and with itself."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtdog_tf.evaluation.accuracy_rows import Row, all_targets, is_complete, mean_and_error
from qtdog_tf.evaluation.method_names import (
    average_name,
    method_name,
    rank,
    reference_name,
    row_of_model,
    rule_name,
)
from qtdog_tf.evaluation.summary_values import read_summary
from qtdog_tf.report.accuracies import accuracy_rows
from qtdog_tf.report.analyses import Entry
from qtdog_tf.report.flat_values import paired_flatness, quoted_radius
from qtdog_tf.report.material import gather
from qtdog_tf.report.numbers import (
    MINUS,
    PM,
    pearson,
    percent,
    percent_and_error,
    ranks,
    short,
    short_and_error,
    spearman,
    with_error,
    within,
)
from qtdog_tf.report.summary_analyses import verdict
from qtdog_tf.statistics import paired_differences, paired_error
from qtdog_tf.training.tables import SELECTED_SMA, paired_table, trial_table
from tests.build_files import ROOT

# 60 real runs: five variants, four targets, three trials.
RESULTS = ROOT / "tools" / "results" / "emoji_styles"
FLOATS = st.floats(-1e6, 1e6, allow_nan=False)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return accuracy_rows(gather(runs=[str(RESULTS)]))


def cells(table: str) -> dict[str, list[str]]:
    """By name of the row, its cells, in the report's signs."""
    lines = [line.split("  ") for line in table.splitlines()[2:]]
    lines = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    return {line[0]: [c.replace("+-", PM).replace("-", MINUS) for c in line[1:]] for line in lines}


def test_tables_are_those_of_tools_compare(rows: list[Row]) -> None:
    summaries = [read_summary(path) for path in sorted(RESULTS.glob("*/*/summary.json"))]
    expected = cells(trial_table(summaries, SELECTED_SMA))
    targets = all_targets(rows)
    assert len(rows) == len(expected) == 5 and len(targets) == 4
    for variant, line in expected.items():
        (row,) = [row for row in rows if row.name == method_name("erm", variant)]
        shown = [percent_and_error(row.of_target(target)) for target in targets]
        assert [*shown, percent_and_error(row.averages(targets)), str(len(row.values))] == line
        assert is_complete(row, rows)
    paired = cells(paired_table(summaries, "erm", SELECTED_SMA, "target_in"))
    reference = rows[0].values
    for variant, (mean, error, better, pairs) in paired.items():
        (row,) = [row for row in rows if row.name == method_name("erm", variant)]
        found = paired_differences(row.values, reference)
        assert percent(float(found.mean()), signed=True) == mean
        assert percent(paired_error(found)) == error
        assert f"{(found > 0).sum()} / {(found < 0).sum()}" == better
        assert str(len(found)) == pairs


def test_an_average_needs_every_target_of_every_trial() -> None:
    whole = Row("a", {("x", 0): 0.5, ("y", 0): 0.7, ("x", 1): 0.7, ("y", 1): 0.9})
    part = Row("b", {pair: v for pair, v in whole.values.items() if pair != ("y", 1)})
    assert whole.averages(["x", "y"]) == pytest.approx([0.6, 0.8])
    mean, error = mean_and_error(whole, ["x", "y"])
    assert mean == pytest.approx(0.7) and error == pytest.approx(0.1 / math.sqrt(2))
    assert part.averages(["x", "y"]) == [] and mean_and_error(part, ["x", "y"]) is None
    assert is_complete(whole, [whole, part]) and not is_complete(part, [whole, part])
    single = Row("c", {("x", 0): 0.5})
    assert mean_and_error(single, ["x"]) == (0.5, None)
    # An ensemble has trials of its own.
    eoq = Row("d", {("x", 0): 0.5, ("y", 0): 0.5}, ensemble=True)
    assert is_complete(eoq, [whole, eoq])


def test_pairs_are_matched_by_target_and_trial() -> None:
    found = paired_differences({("x", 0): 0.5, ("x", 1): 0.6}, {("x", 1): 0.5, ("y", 0): 0.1})
    np.testing.assert_allclose(found, [0.1])
    assert paired_error(found) is None
    assert paired_error(np.array([0.1, 0.3])) == pytest.approx(0.1)


@settings(max_examples=50)
@given(st.lists(st.tuples(FLOATS, FLOATS), min_size=1, max_size=20))
def test_correlation_is_numpys(points: list[tuple[float, float]]) -> None:
    x, y = map(list, zip(*points, strict=True))
    found = pearson(x, y)
    if len(points) < 3 or len(set(x)) == 1 or len(set(y)) == 1:
        assert found is None
    elif found is not None:
        assert found == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-6)


def test_ranks_share_the_mean_of_equal_values() -> None:
    assert ranks([10, 30, 20, 30]) == [1, 3.5, 2, 3.5]
    # Any rising function of the one gives the other.
    assert spearman([1, 2, 3, 4], [1, 8, 27, 64]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    # d = 0, 1, 1, 0: 1 - 6 * 2 / (4 * 15).
    assert spearman([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(0.8)
    assert spearman([1, 1, 1], [1, 2, 3]) is None


def test_within_takes_the_difficulty_of_a_target_off() -> None:
    """Flatter is better in both targets, though the harder one is flatter throughout."""
    points = [
        {"pair": ("easy", 0), "x": 5.0, "y": 0.9},
        {"pair": ("easy", 0), "x": 6.0, "y": 0.8},
        {"pair": ("hard", 0), "x": 1.0, "y": 0.4},
        {"pair": ("hard", 0), "x": 2.0, "y": 0.3},
    ]
    assert pearson([p["x"] for p in points], [p["y"] for p in points]) > 0.8
    assert pearson(within(points, "x"), within(points, "y")) == pytest.approx(-1)


def test_a_hard_target_is_no_relation_between_methods() -> None:
    """Found in the study of README: -0.83 over all models, -0.08 within target and split."""
    assert verdict(-0.83, -0.08, 25, 5).startswith("between methods no relation")
    assert verdict(-0.1, -0.9, 25, 5) == "flatter went with better"
    assert verdict(0.9, 0.5, 25, 5) == "flatter went with worse"
    assert verdict(-0.9, None, 9, 3) == "flatter went with better"
    assert verdict(-0.5, None, 9, 3).startswith("between methods no relation")


def test_each_target_and_split_takes_a_degree_of_freedom() -> None:
    """Of 24 models in 12 pairs, twelve differences are left: 2 / root of 12 is 0.58."""
    assert verdict(-0.9, -0.5, 24, 12).startswith("between methods no relation")
    assert verdict(-0.9, -0.6, 24, 12) == "flatter went with better"
    assert verdict(-0.9, -0.5, 24, 3) == "flatter went with better"
    # Of one model a pair more than pairs, nothing can be said.
    assert verdict(-0.9, -1.0, 13, 12).startswith("between methods no relation")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.12345, "0.123"),
        (1234.5, "1,234"),
        (0.0, "0"),
        (-0.05, f"{MINUS}0.0500"),
        (None, "-"),
        (math.nan, "-"),
        (math.inf, "-"),
        (1e-9, f"1.00e{MINUS}09"),
        (3e12, "3.00e+12"),
    ],
)
def test_numbers_are_short(value: float | None, shown: str) -> None:
    assert short(value) == shown


def test_an_error_has_the_places_of_its_mean() -> None:
    assert with_error(0.0401, 0.00068) == f"0.0401 {PM} 0.0007"
    assert with_error(1617.2, 8.3) == f"1,617 {PM} 8"
    assert with_error(90.0, 0.0) == f"90.0 {PM} 0.0"
    # One that would vanish keeps its first digit.
    assert with_error(90.0, 0.004) == f"90.0 {PM} 0.004"
    assert with_error(90.0, None) == with_error(90.0, math.inf) == "90.0"
    assert short_and_error([1.0, None, math.nan]) == "1.00"
    assert short_and_error([1.0, 3.0]) == f"2.00 {PM} 0.71"
    assert short_and_error([]) == percent_and_error([]) == percent(None) == "-"


def test_methods_are_named_and_ordered() -> None:
    names = {
        ("erm", "erm"): "ERM",
        ("sam", "erm"): "SAM",
        ("erm", "qtdog7"): "QT-DoG 7 bits",
        ("sam", "qtdog7"): "SAM + QT-DoG 7 bits",
        ("erm", "frozen7"): "frozen at K, 7 bits",
        ("erm", "frozen_float"): "frozen at K, float",
        ("erm", "qtdog7_m2"): "QT-DoG 7 bits (m2)",
        ("erm", "eoq7"): "EoQ 7 bits",
        ("erm", "erm_ensemble"): "ERM ensemble",
        ("new", "erm"): "new",
    }
    for (algorithm, variant), name in names.items():
        assert method_name(algorithm, variant) == name
    assert average_name("ERM", "swad") == "SWAD"
    assert average_name("QT-DoG 7 bits", "swa") == "QT-DoG 7 bits + SWA"
    mixed = ["SAM + SWAD", "QT-DoG 7 bits", "SWAD", "x", "SWA", "ERM", "SAM"]
    ordered = ["ERM", "SAM", "SWA", "SWAD", "QT-DoG 7 bits", "x", "SAM + SWAD"]
    assert sorted(mixed, key=rank) == ordered
    assert reference_name(["SMA", "SWAD"], "ERM") == "SMA"
    assert reference_name(["SMA", "ERM"], "ERM") == "ERM"
    assert reference_name(["SWAD"], "ERM") is None


def test_models_and_the_rows_that_report_them() -> None:
    assert row_of_model("selected_sma") == SELECTED_SMA
    assert row_of_model("last_swad") == "swad/last"
    assert row_of_model("selected") == "raw/source_validation"
    assert "no fair result" in rule_name("sma/oracle")


@pytest.mark.parametrize(
    ("radii", "quoted"), [([5.0 * i for i in range(13)], 40.0), ([0.0, 6, 12, 18, 24], 18.0)]
)
def test_one_radius_is_quoted(radii: list[float], quoted: float) -> None:
    def entry(radii: list[float], values: list[float], target: str) -> Entry:
        curve = {"role": "source", "direction": "raw", "weights": "dequantized", "mean": values}
        result = {"radii": radii, "curves": [curve]}
        names = dict.fromkeys(("label", "run", "method", "model", "variant", "algorithm"), "x")
        return Entry(
            "flatness",
            **names,
            targets=target,
            trial=0,
            command="",
            seconds=None,
            settings={},
            result=result,
        )

    flat = [entry(radii, [0.1 * r for r in radii], target) for target in ("a", "b")]
    steep = [entry([*radii, 99.0], [0.3 * r for r in [*radii, 99.0]], "a")]
    assert quoted_radius({"x": flat, "y": steep}) == quoted
    # Only target "a" has both.
    found = paired_flatness(flat, steep, "source", quoted)
    np.testing.assert_allclose(found, [-0.2 * quoted])
    assert quoted_radius({}) is None
