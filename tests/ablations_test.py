"""Ablations: tables, flagfiles and published figures fit together; arithmetic by hand."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
from absl import flags

from qtdog_tf.ablations import TABLES, AblationRow, AblationTable, Paper, ablation_text, read_rows
from qtdog_tf.ablations.differences import (
    HOLDS,
    REVERSED,
    UNDECIDED,
    Difference,
    Measured,
    difference,
    orderings,
    paired,
    verdict,
    verdicts,
)
from qtdog_tf.ablations.values import run_folder
from qtdog_tf.published import Figure, published
from qtdog_tf.sweep.experiment import Experiment
from qtdog_tf.sweep.plan import make_plan
from qtdog_tf.training.variants import parse_variants
from tests.programs import REPOSITORY
from tools._experiments import SETTINGS, read_experiments
from tools._flags import define_flags

CONFIGS = REPOSITORY / "configs" / "ablations"


@pytest.fixture(scope="module")
def experiments() -> dict[str, Experiment]:
    values = flags.FlagValues()
    define_flags(*SETTINGS, values=values)
    values(["ablate"])
    names = dict.fromkeys(name for table in TABLES.values() for name in table.experiments)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(REPOSITORY)
        paths = [f"configs/ablations/{name}.flags" for name in names]
        found = read_experiments(paths, values, Path("runs/ablations"))
    return {experiment.name: experiment for experiment in found}


def test_every_flagfile_is_an_experiment_of_a_table(experiments: dict[str, Experiment]) -> None:
    assert {path.stem for path in CONFIGS.iterdir()} == experiments.keys()
    for path in CONFIGS.iterdir():
        text = path.read_text()
        for word in ("# Source ", "# Expected ", "# Cost ", "# Command "):
            assert word in text, path
        # Nested, not copied: what it shares with others stands in base.flags, or before that.
        assert text.count("\n--flagfile=") == 1 and text.count("\n--") <= 9, path


def test_rows_name_runs_that_their_experiments_train(experiments: dict[str, Experiment]) -> None:
    for table in TABLES.values():
        labels = [row.label for row in table.rows]
        assert table.reference in labels and len(set(labels)) == len(labels)
        wanted: dict[str, set[str]] = {name: set() for name in table.experiments}
        for row in table.rows:
            wanted[row.experiment].add(row.trained)
            averages = experiments[row.experiment].settings.averages
            assert not row.model or row.model.partition("_")[2] in ("", *averages)
        for name, variants in wanted.items():
            experiment = experiments[name]
            there = {variant.name for variant in parse_variants(experiment.wanted.variants)}
            assert variants <= there and (variants == there or name == "base"), name
            assert (experiment.wanted.target_domains == ("none",)) == table.in_domain
            assert experiment.settings.in_domain_test == table.in_domain


def test_experiments_that_share_a_folder_may(experiments: dict[str, Experiment]) -> None:
    from qtdog_tf.data import open_domains

    data = open_domains("emoji_styles")
    plan = make_plan(experiments.values(), Path("runs"), lambda name: data)
    variants = {trial.group.name: len(trial.variants) for trial in plan.trials}
    # ERM, seven widths, INQ, five kinds of noise.
    assert variants["plain"] == 1 + 7 + 1 + 5 and variants["start_step_20"] == 1
    starts = [experiments[f"start_step_{p}"].settings.quantize_step for p in (20, 60, 80)]
    steps = experiments["base"].settings.steps
    assert [*starts, experiments["base"].settings.quantize_step] == [
        *(steps * p // 100 for p in (20, 60, 80, 40)),
    ]


# Given for all rows of a table, these leave the labels true.
_FREE = {"averages", "eval_every", "image_size", "learning_rate", "sam_rho"}


@pytest.mark.parametrize("name", TABLES)
def test_what_tells_rows_apart_cannot_be_given_for_all(
    experiments: dict[str, Experiment], name: str
) -> None:
    table = TABLES[name]
    used = [experiments[each] for each in table.experiments]
    found = set()
    for one in used:
        for mine, other in ((one.settings, used[0].settings), (one.algorithm, used[0].algorithm)):
            found |= {key for key in vars(mine) if vars(mine)[key] != vars(other)[key]}
    assert found - _FREE <= set(table.fixed)
    # And nothing else is refused, but what goes with it.
    assert set(table.fixed) - found <= {"steps", "in_domain_test", "holdout", "teacher_model"}


def test_every_printed_figure_of_the_sections_has_a_row() -> None:
    for name, table in TABLES.items():
        rows = {
            (f.table, *pair)
            for row in table.rows
            if row.paper
            for f, pair in _figures(row.paper, table.part)
        }
        assert rows, name
        printed = {"backbones": ("deit_small", "resnext50"), "comparison": ()}.get(name, (name,))
        for of_table in printed:
            for figure in published(table=of_table, part=table.part, domain=""):
                # Another network in itself.
                if figure.method != "ERM-SD-ViT":
                    assert (of_table, figure.value, figure.data) in rows, figure
    assert {f.data for f in Paper("bits", "ERM").figures("target").values()} == {
        *("pacs", "terra_incognita"),
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("start_step", {"20 %": 86.2, "40 %": 87.8, "60 %": 86.9, "80 %": 85.1}),
        (
            "uniform_noise",
            {"a = 1e-4": 82.9, "a = 5e-5": 83.8, "a = 1e-5": 85.1, "a = 5e-6": 85.6},
        ),
        ("granularity", {"one a layer": 86.3, "one a channel": 87.8}),
        ("quantizer", {"none": 84.7, "PTQ, OBC": 83.7, "INQ": 87.4, "LSQ": 87.8}),
        ("backbones", {"DeiT-Small, ERM": 84.3, "ResNeXt-50, SMA": 92.7, "ResNeXt-50, EoQ": 93.5}),
    ],
)
def test_rows_stand_beside_their_own_figures(name: str, expected: dict[str, float]) -> None:
    """Of PACS, from the method's section 8."""
    for label, value in expected.items():
        (row,) = [row for row in TABLES[name].rows if row.label.startswith(label)]
        assert row.paper and row.paper.figures("target")["pacs"].value == value
        # The setting of the flagfile is that of the label.
        amount = row.variant.removeprefix("uniform")
        assert name != "uniform_noise" or label == f"a = {amount}"
        digits = row.experiment.rpartition("_")[2]
        assert name != "start_step" or label == f"{digits} %" or row.experiment == "base"


def _figures(paper: Paper, part: str) -> list[tuple[Figure, tuple[float, str]]]:
    figures = paper.figures(part)
    assert figures, paper
    return [(figure, (figure.value, data)) for data, figure in figures.items()]


def test_paired_differences_by_hand() -> None:
    one = {("a", 0): 0.50, ("a", 1): 0.70, ("b", 0): 0.40, ("c", 0): 0.9}
    other = {("a", 0): 0.48, ("a", 1): 0.71, ("b", 0): 0.35}
    difference = paired(one, other)
    # Differences 2, -1 and 5: mean 2, standard deviation 3.
    assert difference == Difference(
        pytest.approx(2.0), pytest.approx(3 / math.sqrt(3)), better=2, worse=1
    )
    assert difference.text == "+2.0 +- 1.7"
    single = paired({("a", 0): 0.5}, other)
    assert single and single.error is None and single.text == "+2.0"
    assert paired({("z", 0): 0.5}, other) is None


@pytest.mark.parametrize(
    ("mean", "error", "expected"),
    [
        (2.0, 1.0, HOLDS),
        (-2.0, 1.0, REVERSED),
        (2.0, 2.0, UNDECIDED),
        (-0.5, 1.0, UNDECIDED),
        (9.0, None, UNDECIDED),
        (0.0, 0.0, UNDECIDED),
    ],
)
def test_verdicts(mean: float, error: float | None, expected: str) -> None:
    assert verdict(1.0, Difference(mean, error, 0, 0)) == expected
    mirrored = {HOLDS: REVERSED, REVERSED: HOLDS}.get(expected, expected)
    assert verdict(-1.0, Difference(mean, error, 0, 0)) == mirrored


def test_orderings_are_those_beyond_the_printed_error() -> None:
    printed = {"x": (85.0, 0.3), "y": (87.8, 0.4), "z": (85.5, 0.4), "w": (85.0, None)}
    assert orderings(printed) == [
        ("y", "x", pytest.approx(2.8)),
        ("y", "w", pytest.approx(2.8)),
        ("y", "z", pytest.approx(2.3)),
        ("z", "w", pytest.approx(0.5)),
    ]  # z and x differ by 0.5 +- 0.5
    measured = {
        "y": Measured({("a", 0): 0.6, ("a", 1): 0.7}),
        "z": Measured({("a", 0): 0.5, ("a", 1): 0.59}),
    }
    ((better, worse, points, own, word),) = verdicts(printed, measured)
    assert (better, worse, points, word) == ("y", "z", pytest.approx(2.3), HOLDS)
    assert own.mean == pytest.approx(10.5)


def test_an_ensemble_is_compared_with_the_mean_over_trials() -> None:
    pool = Measured({("a", 0): 0.70, ("b", 0): 0.90}, pooled=True)
    single = Measured({("a", 0): 0.40, ("a", 1): 0.60, ("b", 0): 0.80, ("c", 0): 0.1})
    found = difference(pool, single)
    # Differences 20 and 10: mean 15, standard deviation 10 / sqrt(2).
    assert found and found == Difference(pytest.approx(15.0), pytest.approx(5.0), 2, 0)
    back = difference(single, pool)
    assert back and back == Difference(pytest.approx(-15.0), pytest.approx(5.0), 0, 2)
    other = Measured({("a", 0): 0.65}, pooled=True)
    between = difference(pool, other)
    assert between and between.mean == pytest.approx(5.0)
    assert difference(other, Measured({("c", 0): 0.1})) is None


TABLE = AblationTable(
    "bits",
    "Bits",
    "8.4",
    (
        AblationRow("ERM", "bits", "erm", Paper("bits", "ERM")),
        AblationRow("QT-DoG", "bits", "qtdog7", Paper("bits", "QT-DoG", 7)),
        AblationRow("PTQ", "bits", "ptq_rtn7"),
    ),
    "ERM",
)


def write_summary(
    folder: Path, value: float, row: str = "raw/source_validation", **more: object
) -> None:
    folder.mkdir(parents=True)
    values = {"target_in": value, "source_accuracy": 0.9, "step": 3}
    summary = {
        "targets": ["line"],
        "trial_seed": 0,
        "variant": {"name": folder.name},
        "rows": {row: values},
        **more,
    }
    (folder / "summary.json").write_text(json.dumps(summary))


def test_a_table_from_finished_runs(tmp_path: Path) -> None:
    trials = []
    for seed, pair in enumerate([(0.80, 0.79), (0.84, 0.82)]):
        trial = tmp_path / f"line-trial{seed}"
        trials.append((("line", seed), trial))
        for name, value in zip(("erm", "qtdog7"), pair, strict=True):
            write_summary(trial / name, value)
    write_summary(run_folder(trials[0][1], TABLE.rows[2], "selected"), 0.70)
    rows = read_rows(TABLE, {"bits": trials}, "selected")
    assert [len(row.values) for row in rows] == [2, 2, 1]
    text = ablation_text(TABLE, rows)
    table = text.split("\n\n")[1]
    cells = {line[:6].strip(): line[6:].split() for line in table.splitlines()}
    # 82.0 and 80.5, population standard deviation over the root of 2.
    assert cells["ERM"][:4] == ["2", "82.0", "+-", "1.4"]
    assert cells["QT-DoG"][:7] == ["2", "80.5", "+-", "1.1", "-1.5", "+-", "0.5"]
    assert cells["QT-DoG"][7:10] == ["0", "/", "2"]
    assert cells["QT-DoG"][14:17] == ["87.8", "+-", "0.3"] and "97.3" in cells["QT-DoG"]
    assert cells["PTQ"][:2] == ["1", "70.0"]
    assert "QT-DoG > ERM" in text and "0 hold, 1 are reversed, 0 are undecided." in text
    assert read_rows(TABLE, {"bits": trials}, "selected_sma")[0].values == {}


def test_ensembles_stand_beside_runs_with_what_all_members_took(tmp_path: Path) -> None:
    eoq = AblationRow("EoQ", "pool", "qtdog7", Paper("main", "EoQ", 7), "selected", pooled=True)
    sma = dataclasses.replace(eoq, label="EoQ + SMA", model="selected_sma", paper=None)
    table = dataclasses.replace(
        TABLE, rows=(*TABLE.rows, eoq, sma), data=("pacs",), against=("EoQ",)
    )
    trials = [(("line", seed), tmp_path / f"line-trial{seed}") for seed in (0, 1)]
    for seed, (_, trial) in enumerate(trials):
        write_summary(trial / "erm", 0.80)
        write_summary(trial / "qtdog7", 0.82)
        # Float phase 60 s; a run that was interrupted has two parts.
        seconds = [("float", 60), ("qtdog7", 90), ("erm", 30), ("qtdog7", 30 + 60 * seed)]
        entries = [{"phase": phase, "seconds": value, "steps": 1} for phase, value in seconds]
        (trial / "times.json").write_text(json.dumps(entries))
    pool = tmp_path / "line-ensemble0"
    members = [{"run": f"elsewhere/line-trial{seed}/qtdog7"} for seed in (0, 1)]
    write_summary(pool / "qtdog7-selected", 0.86, members=members)
    write_summary(pool / "qtdog7", 0.85, "sma/source_validation")
    rows = read_rows(table, {"bits": trials, "pool": [(("line", 0), pool)]}, "selected")
    assert [list(row.values.values()) for row in rows] == [
        *([0.80, 0.80], [0.82, 0.82], [], [0.86], [0.85]),
    ]
    minutes = [list(row.minutes.values()) for row in rows]
    # Of the second ensemble no member is known, and nothing of the folder itself.
    assert minutes == [[1.5, 1.5], [3.0, 4.0], [], [7.0], []]
    text = ablation_text(table, rows)
    assert "EoQ > ERM" in text and "EoQ > QT-DoG" in text and "QT-DoG > ERM" not in text
    assert "PACS" in text and "Terra" not in text
    assert next(line.split()[1:5] for line in text.splitlines() if line.startswith("EoQ ")) == [
        *("1", "86.0", "+6.0", "1"),
    ]
