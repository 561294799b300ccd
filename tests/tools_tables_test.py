"""tools.tables on committed results, on made-up folders of a sweep, and on damaged ones."""

import csv
import io
import json
from pathlib import Path

import pytest

from qtdog_tf.benchmark_tables import make_tables, read_benchmark_runs
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation.summary_values import read_summary
from qtdog_tf.training.tables import SELECTED_SMA, trial_table
from tests.benchmark_runs import evaluation, write_ensemble, write_run
from tests.build_files import ROOT
from tests.programs import assert_refused, run_program

RESULTS = ROOT / "tools" / "results"


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two draws of all that leave-one-domain-out takes for target "a", and an ensemble."""
    for draw, folder in enumerate(("g", "g-hparams1-trial0")):
        for target in ("a", "b", "c", "a+b", "a+c", "b+c"):
            evaluations = []
            for step in (0, 10, 20):
                value = 0.3 + draw / 10 + step / 100
                held_out = {name: (value, 0.5) for name in target.split("+")}
                for weights in ("raw", "sma"):
                    evaluations.append(evaluation(step, 0.9 - value, held_out, weights))
            write_run(tmp_path / "sweep" / folder, target, 0, evaluations)
    write_ensemble(tmp_path / "sweep" / "g", "a", 0, 0.77, members=3)
    # A member of an ensemble of trial 0, which is no draw of trial 1.
    member = evaluation(0, 0.9, {"a": (0.99, 0.99)})
    write_run(tmp_path / "sweep" / "g-hparams1-trial0", "a", 1, [member])
    return tmp_path / "sweep"


def rows_of(done_stdout: str) -> dict[tuple[str, str], dict[str, str]]:
    rows = csv.DictReader(io.StringIO(done_stdout))
    return {(row["method"], row["column"]): row for row in rows}


def test_committed_results_agree_with_those_of_compare() -> None:
    runs = read_benchmark_runs([RESULTS / "emoji_styles"]).runs
    (table,) = make_tables(runs, "source_validation")
    assert len(runs) == 60 and table.columns == ("flat", "gradient", "line", "render3d", "average")
    found = {line.name: line for line in table.lines}
    # README: 84.5 +- 0.6 and 83.2 +- 0.6 of the headline, 80.6 +- 0.5 and 81.0 +- 0.7 without.
    shown = {name: found[name].cells[-1].text for name in ("SMA", "ERM", "QT-DoG 7 bits")}
    assert shown == {"SMA": "84.5 +- 0.6", "ERM": "80.6 +- 0.5", "QT-DoG 7 bits": "81.0 +- 0.7"}
    assert found["QT-DoG 7 bits + SMA"].cells[-1].text == "83.2 +- 0.6"
    paths = (RESULTS / "emoji_styles").glob("*-trial*/*/summary.json")
    other = trial_table([read_summary(path) for path in sorted(paths)], SELECTED_SMA)
    (erm,) = (line for line in other.splitlines() if line.startswith("erm "))
    assert " ".join(erm.split()) == "erm " + " ".join(c.text for c in found["SMA"].cells) + " 12"


def test_a_sweep_by_every_rule(sweep: Path, tmp_path: Path) -> None:
    output, traced = tmp_path / "tables.csv", tmp_path / "trace.json"
    rules = "source_validation,leave_one_domain_out,oracle_last"
    done = run_program(
        "tables", runs=sweep, selection=rules, format="csv", output=output, trace=traced
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    tables = json.loads(traced.read_text())
    choices = {}
    for table in tables:
        (erm,) = (row for row in table["rows"] if row["method"] == "ERM")
        (choices[table["selection"]],) = erm["cells"]["a"]["from"]
    # Source validation falls over steps and draws, the other domains rise.
    first, crossed = choices["source_validation"], choices["leave_one_domain_out"]
    assert (first["draw"], first["step"], first["file"]) == (0, 0, "summary.json")
    assert (crossed["draw"], crossed["step"], crossed["file"]) == (1, 20, "results.jsonl")
    assert crossed["run"] == str(sweep / "g-hparams1-trial0" / "a-trial0" / "erm")
    assert crossed["rests_on"] == [
        str(sweep / "g-hparams1-trial0" / f"a+{other}-trial0" / "erm") for other in "bc"
    ]
    assert choices["oracle_last"]["step"] == 20 and choices["oracle_last"]["draw"] == 0
    ensembles = {row["method"] for row in tables[0]["rows"] if "EoQ" in row["method"]}
    assert ensembles == {"EoQ(3) 7 bits + SMA", "EoQ(3) 7 bits + SMA, all images"}
    rows = rows_of(output.read_text())
    assert float(rows["EoQ(3) 7 bits + SMA", "a"]["mean"]) == pytest.approx(77)
    assert float(rows["EoQ(3) 7 bits + SMA, all images", "a"]["mean"]) == pytest.approx(78)
    # The last table in the file is the oracle's, of the last step of draw 0.
    assert float(rows["ERM", "a"]["mean"]) == pytest.approx(50)


def test_without_logs_cross_validation_says_what_it_takes(tmp_path: Path) -> None:
    for target in ("a", "b"):
        held_out = {target: (0.5, 0.5)}
        write_run(tmp_path / "g", target, 0, [evaluation(0, 0.5, held_out)], log=False)
    (tmp_path / "g" / "c-trial0" / "erm").mkdir(parents=True)
    (tmp_path / "g" / "c-trial0" / "erm" / "results.jsonl").write_text("")
    done = run_program("tables", runs=tmp_path / "g", selection="leave_one_domain_out")
    assert done.returncode == 0, done.stderr
    assert "No run has what is asked for. It takes" in done.stdout
    assert "1 run is not finished, and left out" in done.stderr
    ok = run_program("tables", runs=tmp_path, average="raw", published="none")
    assert ok.stdout.splitlines()[3].split() == ["ERM", "50.0", "50.0", "50.0", "2", "runs"]


def test_mistakes_are_refused(tmp_path: Path) -> None:
    assert_refused(run_program("tables", runs=tmp_path / "no"), "does not exist")
    assert_refused(run_program("tables", runs=tmp_path, selection="best"), "--selection must be")
    assert_refused(run_program("tables", runs=tmp_path, trials="x"), "--trials must be")
    assert_refused(run_program("tables", runs=tmp_path, output=tmp_path), "is a folder")
    path = write_run(tmp_path / "g", "a", 0, [evaluation(0, 0.5, {"a": (0.5, 0.5)})])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no finished run"):
        read_benchmark_runs([tmp_path / "empty"])
    summary = json.loads((path / "summary.json").read_text())
    for change, sentence in (
        ({"classes": 3}, "classes is not a list"),
        ({"backbone": "a\x1b[2J"}, "cannot be printed"),
        ({"algorithm": "a\x1b[2J"}, "'algorithm' must be a name"),
        ({"rows": {"raw/last": {"step": "x"}}}, "step is not a whole number"),
        ({"targets": []}, "no finished run with a target"),
    ):
        (path / "summary.json").write_text(json.dumps({**summary, **change}))
        with pytest.raises(UserError, match=sentence):
            read_benchmark_runs([tmp_path])
    old = {name: value for name, value in summary.items() if name != "selected_from"}
    quantized = {**old, "variant": {"name": "qtdog7", "mode": "train", "bits": 7}}
    (path / "summary.json").write_text(json.dumps(quantized))
    assert read_benchmark_runs([tmp_path]).runs
    with pytest.raises(UserError, match="has no settings.json"):
        read_benchmark_runs([tmp_path], logs=True)
    (path / "summary.json").write_text(json.dumps(old))
    assert read_benchmark_runs([tmp_path], logs=True).runs[0].evaluations
    log = path / "results.jsonl"
    log.write_text(log.read_text().replace('"in"', '"on"'))
    assert read_benchmark_runs([tmp_path]).runs
    with pytest.raises(UserError, match="line 1 lacks a domain or a part"):
        read_benchmark_runs([tmp_path], logs=True)
