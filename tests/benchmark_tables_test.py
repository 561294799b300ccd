"""Tables of the benchmark: means and errors by hand, what is missing, published rows, formats."""

import csv
import dataclasses
import io
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from qtdog_tf.benchmark_tables import FORMATS, BenchmarkRun, make_tables, trace
from qtdog_tf.benchmark_tables.data_sets import DataSet, identify
from qtdog_tf.benchmark_tables.escaping import latex, markdown, spreadsheet
from qtdog_tf.benchmark_tables.table import Line, Table
from qtdog_tf.data.catalog import PACS, ROTATED_FASHION_MNIST, ROTATED_MNIST, VLCS
from qtdog_tf.errors import UserError
from tests.benchmark_runs import DATA, evaluation, run

SELECTED = "source_validation"


def made(
    target: str, trial: int, accuracy: float, method: str = "ERM", draw: int = 0, **values: Any
) -> BenchmarkRun:
    held_out = {name: (accuracy, 0.5) for name in target.split("+")}
    domains = values.get("data", DATA).domains
    evaluations = [evaluation(9, 0.5, held_out, domains=domains)]
    return run(target, trial, evaluations, draw, method=method, **values)


# Of ERM everything, of the other method no run of trial 1 that held out "c".
RUNS = [
    *(made(t, k, v) for k in (0, 1) for t, v in zip("abc", (0.6, 0.7, 0.8), strict=True)),
    *(made(t, 0, v, "QT-DoG 7 bits") for t, v in zip("abc", (0.5, 0.75, 0.9), strict=True)),
    *(made(t, 1, v, "QT-DoG 7 bits") for t, v in zip("ab", (0.7, 0.75), strict=True)),
]


def table_of(runs: list[BenchmarkRun], **values: Any) -> Table:
    (table,) = make_tables(runs, SELECTED, ("raw",), **values)
    return table


def line_of(table: Table, name: str) -> Line:
    (line,) = (line for line in table.lines if line.name == name)
    return line


def shown(line: Line) -> list[str]:
    return [cell.text for cell in line.cells]


def test_means_errors_and_what_is_missing() -> None:
    table = table_of(RUNS)
    assert table.title == "photos" and table.columns == ("a", "b", "c", "average")
    assert "Selection: training-domain validation." in table.caption
    erm = line_of(table, "ERM")
    assert shown(erm) == ["60.0 +- 0.0", "70.0 +- 0.0", "80.0 +- 0.0", "70.0 +- 0.0"]
    assert erm.rests_on == "6 runs" and not erm.incomplete
    # 50 and 70: population deviation 10, over the root of two trials.
    other = line_of(table, "QT-DoG 7 bits")
    assert shown(other) == ["60.0 +- 7.1", "75.0 +- 0.0", "90.0", "incomplete"]
    assert other.rests_on == "5 runs, 5 of 6 figures" and other.incomplete
    assert "* QT-DoG 7 bits lacks c: trial 1" in table.notes
    best = {
        name: [cell.best for cell in line_of(table, name).cells] for name in (erm.name, other.name)
    }
    assert best == {"ERM": [True, False, False, False], other.name: [True, True, True, False]}


def test_trials_that_count() -> None:
    first = table_of(RUNS, trials=(0,))
    other = line_of(first, "QT-DoG 7 bits")
    # One trial has no error.
    assert shown(other)[-1] == "71.7" and not other.incomplete
    third = table_of(RUNS, trials=(0, 1, 2))
    assert line_of(third, "ERM").rests_on == "6 runs, 6 of 9 figures"
    assert "* QT-DoG 7 bits lacks a: trial 2; b: trial 2; c: trials 1, 2" in third.notes


def test_the_error_of_the_average_is_over_trials_averages() -> None:
    # Averages of the trials: 0.60 and 0.70, though each domain moves by 20 points.
    values = {
        ("a", 0): 0.5,
        ("a", 1): 0.7,
        ("b", 0): 0.7,
        ("b", 1): 0.5,
        ("c", 0): 0.6,
        ("c", 1): 0.9,
    }
    (line,) = table_of([made(t, k, v) for (t, k), v in values.items()]).lines
    assert shown(line)[-1] == f"65.0 +- {5 / math.sqrt(2):.1f}"


def test_domains_that_were_never_held_out_and_joint_targets() -> None:
    table = table_of([made("a", 0, 0.5), made("b", 0, 0.7), made("a+b", 0, 0.9)])
    assert table.columns == ("a", "b", "average") and shown(table.lines[0])[-1] == "60.0"
    assert any(note.startswith("Never held out: c") for note in table.notes)
    assert any(note.endswith("for cross-validation only: 1") for note in table.notes)
    joint = table_of([made("a+b", 0, 0.9)])
    assert joint.columns == ("a+b", "average") and shown(joint.lines[0]) == ["90.0", "90.0"]


def test_draws_are_counted_and_a_missing_one_is_named() -> None:
    runs = [made(t, 0, 0.5, draw=h) for t in "abc" for h in (0, 1, 2) if (t, h) != ("b", 1)]
    table = table_of(runs)
    assert table.lines[0].rests_on == "8 runs, 3 draws" and table.lines[0].incomplete
    assert "* ERM, b, trial 0 lacks draw 1" in table.notes


def test_cross_validation_counts_every_run_that_it_compared() -> None:
    targets = ("a", "b", "c", "a+b", "a+c", "b+c")
    runs = [made(t, 0, 0.5, draw=h) for t in targets for h in (0, 1)]
    (table,) = make_tables(runs, "leave_one_domain_out", ("raw",))
    assert table.lines[0].rests_on == "12 runs, 2 draws" and not table.lines[0].incomplete
    # Without a+c only "b" can be judged in draw 1, by three runs; draw 0 has six.
    (table,) = make_tables(runs[:9] + runs[10:], "leave_one_domain_out", ("raw",))
    assert table.lines[0].rests_on == "9 runs, 2 draws"
    assert [note for note in table.notes if note.startswith("*")] == [
        "* ERM, a, trial 0 lacks draw 1",
        "* ERM, c, trial 0 lacks draw 1",
    ]
    (table,) = make_tables(runs[:6], "leave_one_domain_out", ("raw",))
    assert not table.lines and "It takes, of a target, the run that" in table.notes[0]


def test_rows_of_one_name_are_told_apart() -> None:
    twice = [made("a", 0, 0.5), made("a", 0, 0.6, backbone="resnet50")]
    assert [line.name for line in table_of(twice).lines] == ["ERM (tiny)", "ERM (resnet50)"]
    folders = [made("a", 0, 0.5), made("a", 0, 0.6, group=Path("runs/h"))]
    assert [line.name for line in table_of(folders).lines] == ["ERM (g)", "ERM (h)"]
    with pytest.raises(UserError, match="same method, target and trial"):
        table_of([made("a", 0, 0.5), made("a", 0, 0.6, path=Path("elsewhere"))])


def pacs(entry: Any = PACS) -> DataSet:
    return identify(entry.domains, entry.classes, "/photos")


def runs_on(entry: Any, accuracy: float, method: str = "ERM", trials: Any = (0,)) -> list:
    return [
        made(domain, trial, accuracy + trial / 10, method, data=pacs(entry))
        for domain in entry.domains
        for trial in trials
    ]


def test_published_rows_stand_beside_those_of_the_same_method() -> None:
    table = table_of([*runs_on(PACS, 0.5), *runs_on(PACS, 0.6, "QT-DoG 7 bits")])
    assert table.title == "PACS"
    printed = [(line.name, *shown(line), line.rests_on) for line in table.lines if line.published]
    paper = "QT-DoG (arXiv 2410.06020v2), Table"
    assert ("ERM", "-", "-", "-", "-", "84.7 +- 0.5", f"{paper} 1") in printed
    assert ("QT-DoG 7 bits", "89.1", "82.4", "96.9", "82.3", "87.8", f"{paper} 7") in printed
    tuned = ("84.7 +- 0.4", "80.8 +- 0.6", "97.2 +- 0.3", "79.3 +- 1.0", "85.5")
    assert ("ERM", *tuned, "DomainBed, tuned ERM, 3 trials") in printed
    assert {name for name, *_ in printed} == {"ERM", "QT-DoG 7 bits"}
    assert any("63.4" in note for note in table.notes)
    # An own figure is never marked as best against a published one, nor the other way round.
    assert not any(cell.best for line in table.lines if line.published for cell in line.cells)
    every = table_of(runs_on(PACS, 0.5), shown="all")
    assert {"EoQ(5) 7 bits", "EoA(6)", "SAM", "SMA"} <= {line.name for line in every.lines}
    none = table_of(runs_on(PACS, 0.5), shown="none")
    assert [line.name for line in none.lines] == ["ERM"]


def test_published_figures_stand_below_their_own_rule_only() -> None:
    runs = [*runs_on(PACS, 0.5), *runs_on(VLCS, 0.5)]
    left_out = "Published figures that were selected on source validation are left out"

    def printed(rule: str, shown_rows: str = "same") -> dict[str, list[tuple[str, str]]]:
        tables = make_tables(runs, rule, ("raw",), shown=shown_rows)
        assert {left_out in table.notes for table in tables} == {
            rule != SELECTED and shown_rows != "none"
        }
        return {
            table.title: [(line.name, shown(line)[-1]) for line in table.lines if line.published]
            for table in tables
        }

    # The one published table that compares rules has ERM on PACS, by each of them.
    assert printed("oracle") == {
        "PACS": [("ERM", "87.2")],
        "VLCS": [],
        "All data sets": [("ERM", "-")],
    }
    assert printed("last", "all")["PACS"] == [("ERM", "85.3")]
    chosen = printed(SELECTED)
    assert ("ERM", "84.7 +- 0.5") in chosen["PACS"] and chosen["VLCS"] and chosen["All data sets"]
    assert printed("oracle", "none")["PACS"] == []


def test_averages_of_runs_are_named_with_their_size() -> None:
    row = {"target_in": 0.5, "target_all": 0.6}
    rows = {"raw/source_validation": row, "sma/source_validation": row}
    methods = ("EoA", "EoQ 7 bits", "ERM ensemble", "DiWA of QT-DoG 7 bits")
    runs = [
        made(domain, 0, 0.5, method, data=pacs(), members=4)
        for method in methods
        for domain in PACS.domains
    ]
    for one in runs:
        object.__setattr__(one, "rows", rows)
    (table,) = make_tables(runs, SELECTED, ("sma",))
    own = [line.name for line in table.lines if not line.published]
    assert {name for name in own if not name.endswith(", all images")} == {
        "EoA(4)",
        "DiWA(4) of QT-DoG 7 bits + SMA",
        "EoQ(4) 7 bits + SMA",
        "ERM ensemble(4) + SMA",
    }
    printed = {line.name for line in table.lines if line.published}
    assert printed == {"EoA(6)", "EoQ(5) 7 bits"}
    (raw,) = make_tables(runs[8:12], SELECTED, ("raw",))
    assert [line.name for line in raw.lines[:3]] == [
        "ERM ensemble(4)",
        "ERM ensemble(4), all images",
        "ERM Ens(6)",
    ]


def test_a_published_average_is_of_the_same_columns() -> None:
    table = table_of([made(d, 0, 0.5, "QT-DoG 7 bits", data=pacs()) for d in ("photo", "sketch")])
    (line,) = (line for line in table.lines if line.published)
    # (96.9 + 82.3) / 2, and Table 1 has no figures of these two.
    assert shown(line) == ["96.9", "82.3", "89.6"]


def test_only_sets_of_the_papers_have_published_rows() -> None:
    fashion = table_of(runs_on(ROTATED_FASHION_MNIST, 0.5), shown="all")
    assert fashion.title == "RotatedFashionMNIST"
    assert not any(line.published for line in fashion.lines)
    digits = table_of(runs_on(ROTATED_MNIST, 0.5))
    assert [shown(line)[-1] for line in digits.lines if line.published] == ["98.0"]
    assert not any(line.published for line in table_of(RUNS, shown="all").lines)
    renamed = [name.replace(" ", "_") for name in ("Real World", "Art", "Clipart", "Product")]
    assert identify(renamed, ("a",), "tfds:x").title == "x"


def test_a_table_of_all_data_sets() -> None:
    runs = [*runs_on(PACS, 0.5, trials=(0, 1)), *runs_on(VLCS, 0.7, trials=(0, 1))]
    *_, table = make_tables([*runs, *runs_on(PACS, 0.4, "SAM")], SELECTED, ("raw",))
    assert table.title == "All data sets" and table.columns == ("PACS", "VLCS", "average")
    erm = table.lines[0]
    # Trials: 50 and 60 on PACS, 70 and 80 on VLCS, so 60 and 70 on average.
    assert shown(erm) == ["55.0 +- 3.5", "75.0 +- 3.5", "65.0 +- 3.5"] and erm.rests_on == "16 runs"
    sam = next(line for line in table.lines if line.name == "SAM")
    assert shown(sam) == ["40.0", "-", "incomplete"] and sam.incomplete
    printed = next(line for line in table.lines if line.published)
    # Of these two columns, not the average over five that the paper prints.
    assert shown(printed) == ["84.7 +- 0.5", "77.4 +- 0.3", f"{(84.7 + 77.4) / 2:.1f}"]


def test_a_folder_that_is_only_called_like_a_data_set_has_no_published_averages() -> None:
    namesake = identify(("a", "b"), ("c",), "photos/pacs")
    assert namesake.name == "pacs" and not namesake.published
    mine = [made(domain, 0, 0.5, data=namesake) for domain in ("a", "b")]
    *_, table = make_tables([*mine, *runs_on(VLCS, 0.7)], SELECTED, ("raw",), shown="all")
    column = table.columns.index(namesake.title)
    printed = [shown(line) for line in table.lines if line.published]
    assert printed and {cells[column] for cells in printed} == {"-"}


def test_data_sets_are_joined_by_method_and_backbone() -> None:
    def all_sets(*runs: BenchmarkRun) -> dict[str, list[str]]:
        *_, table = make_tables(runs, SELECTED, ("raw",), shown="none")
        backbones = sorted({run.backbone for run in runs})
        assert f"Backbone: {', '.join(backbones)}" in table.notes
        return {line.name: shown(line) for line in table.lines}

    def in_folder(runs: list[BenchmarkRun], group: str) -> list[BenchmarkRun]:
        return [
            dataclasses.replace(run, group=Path(group), path=Path(group) / run.path) for run in runs
        ]

    def of(backbone: str, runs: list[BenchmarkRun]) -> list[BenchmarkRun]:
        return [
            dataclasses.replace(run, backbone=backbone, path=backbone / run.path) for run in runs
        ]

    pacs_runs, vlcs_runs = runs_on(PACS, 0.5), runs_on(VLCS, 0.7)
    # Different networks are no one row, though each data set has one "ERM" only.
    assert all_sets(*of("resnet50", pacs_runs), *of("mnist_cnn", vlcs_runs)) == {
        "ERM (resnet50)": ["50.0", "-", "incomplete"],
        "ERM (mnist_cnn)": ["-", "70.0", "incomplete"],
    }
    # What tells rows apart in one data set only does not part them from those of the other.
    both = [*of("resnet50", [*pacs_runs, *vlcs_runs]), *of("mnist_cnn", runs_on(PACS, 0.4))]
    assert all_sets(*both) == {
        "ERM (resnet50)": ["50.0", "70.0", "60.0"],
        "ERM (mnist_cnn)": ["40.0", "-", "incomplete"],
    }
    # Folders are called by their data sets, and count only where one has several of a kind.
    apart = [*in_folder(pacs_runs, "runs/pacs"), *in_folder(vlcs_runs, "runs/vlcs")]
    assert all_sets(*apart) == {"ERM": ["50.0", "70.0", "60.0"]}
    twice = [*in_folder(pacs_runs, "g"), *in_folder(runs_on(PACS, 0.4), "h")]
    assert all_sets(*twice, *in_folder(vlcs_runs, "g")) == {
        "ERM (g)": ["50.0", "70.0", "60.0"],
        "ERM (h)": ["40.0", "-", "incomplete"],
    }


HOSTILE = "=cmd|'/c'!A1 & <b> [x](http://y) \\input{z} $_%#~^ `q` | 100%\N{SNOWMAN}"


def hostile_table() -> Table:
    data = identify((HOSTILE, "-b", "c"), ("x",), "photos")
    return table_of([made(t, 0, 0.5, HOSTILE, data=data) for t in (HOSTILE, "-b", "c")])


def test_csv_has_every_number_and_no_formula() -> None:
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"]([table_of(RUNS)]))))
    (cell,) = (r for r in rows if (r["method"], r["column"]) == ("QT-DoG 7 bits", "a"))
    assert float(cell["mean"]) == pytest.approx(60) and cell["incomplete"] == "true"
    assert float(cell["error"]) == pytest.approx(10 / math.sqrt(2)) and cell["figures"] == "2"
    (empty,) = (r for r in rows if (r["method"], r["column"]) == ("QT-DoG 7 bits", "average"))
    assert empty["mean"] == empty["error"] == ""
    for row in csv.reader(io.StringIO(FORMATS["csv"]([hostile_table()]))):
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row)
    assert spreadsheet(" =1+1") == "' =1+1" and spreadsheet("a=1") == "a=1"


def test_markdown_keeps_names_inside_their_cells() -> None:
    lines = FORMATS["markdown"]([hostile_table()]).splitlines()
    table = [line for line in lines if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {7}
    text = "\n".join(lines)
    assert not re.search(r"(?<!\\)[<\[`$]", text.replace("\\\\", ""))
    assert markdown("www.x.org @me http://y 0.5") == r"www\.x\.org \@me http\://y 0\.5"
    assert "**60.0 +- 7.1**" in FORMATS["markdown"]([table_of(RUNS)])


def test_latex_is_balanced_and_every_special_character_is_escaped() -> None:
    text = FORMATS["latex"]([hostile_table(), table_of(RUNS)])
    assert text.count("\\begin{table}") == text.count("\\end{table}") == 2
    rows = re.findall(r"^(.*) \\\\$", text, re.MULTILINE)
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {5}
    assert r"\textbf{60.0} $\pm$ 7.1" in text
    assert latex(r"\a{b} 5%_--") == r"\textbackslash{}a\{b\} 5\%\_-{}-"
    assert latex("[x] ü \N{SNOWMAN}") == r"{[}x] ü {[}U+2603]"
    escaped = latex("".join(map(chr, range(32, 127))))
    plain = re.sub(r"\\(?:text\w+\{\}|char34\{\}|[&%$#_{}])", "", escaped)
    assert not re.search(r"[\\&%$#_~^]", plain) and plain.count("{") == plain.count("}")


def test_text_has_a_rule_before_what_is_published() -> None:
    lines = FORMATS["text"]([table_of(runs_on(PACS, 0.5))]).splitlines()
    rules = [number for number, line in enumerate(lines) if set(line) == {"-"}]
    assert len(rules) == 2 and lines[rules[1] + 1].startswith("ERM ")


def test_every_cell_is_traced_to_its_runs() -> None:
    (traced,) = json.loads(json.dumps(trace([table_of(RUNS)])))
    erm = next(row for row in traced["rows"] if row["method"] == "ERM")
    (first, second) = erm["cells"]["b"]["from"]
    assert first == {
        "target": "b",
        "trial": 0,
        "run": "runs/g-hparams0-trial0/b-trial0/ERM",
        "draw": 0,
        "step": 9,
        "accuracy": pytest.approx(0.7),
        "score": pytest.approx(0.5),
        "draws": [0],
        "file": "summary.json",
        "rests_on": [],
    }
    assert second["run"] == "runs/g-hparams0-trial1/b-trial1/ERM"
    assert len(erm["cells"]["average"]["from"]) == 6
    (printed, *_) = (
        r for r in trace([table_of(runs_on(PACS, 0.5))])[0]["rows"] if "published" in r
    )
    assert printed["cells"]["average"] == {"mean": 84.7, "error": 0.5, "from": []}
