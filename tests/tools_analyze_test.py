"""The real program on a small run: analyse it, go on, refuse; then report on it."""

import json
from pathlib import Path

import pytest

from tests.programs import assert_refused, run_program
from tests.small_data import make_small_data
from tests.small_runs import train_erm_and_qtdog7

# What is enough to see that the figures belong to the run.
QUICK = {
    "flatness_radii": "0,1,2",
    "flatness_max_directions": 2,
    "flatness_min_directions": 2,
    "hessian_max_iterations": 2,
    "hessian_min_probes": 2,
    "hessian_max_probes": 2,
    "noise_effect_draws": 2,
    "noise_effect_min_probes": 2,
    "noise_effect_max_probes": 2,
    "grad_cam_images": 3,
}


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs "erm" and "qtdog7" that held out "line"."""
    data = make_small_data(tmp_path_factory.mktemp("data") / "small")
    output = tmp_path_factory.mktemp("runs") / "a"
    plan = {"steps": 6, "quantize_step": 3, "eval_every": 2, "sma_start": 2}
    return train_erm_and_qtdog7(data, output, averages="sma,swa", **plan)


@pytest.fixture(scope="module")
def analyses(trial: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every analysis of both runs."""
    output = tmp_path_factory.mktemp("analyses")
    done = run_program("analyze", runs=trial.parent, output=output, **QUICK)
    assert done.returncode == 0, done.stderr
    assert "QT-DoG 7 bits + SMA" in done.stdout and "F(r) target" in done.stdout
    return output


def result(analyses: Path, variant: str, analysis: str) -> dict:
    path = analyses / "a" / "line-trial0" / variant / "selected_sma" / f"{analysis}.json"
    return json.loads(path.read_text())["result"]


def test_figures_are_those_of_the_run(analyses: Path, trial: Path) -> None:
    for variant in ("erm", "qtdog7"):
        summary = json.loads((trial / variant / "summary.json").read_text())
        row = summary["rows"]["sma/source_validation"]
        domains = {
            (d["domain"], d["part"]): d for d in result(analyses, variant, "calibration")["domains"]
        }
        assert set(domains) == {
            ("line", "all"),
            *((d, p) for d in ("flat", "gradient") for p in ("in", "out")),
        }
        assert domains["line", "all"]["accuracy"] == pytest.approx(row["target_all"])
        sources = [domains[name, "out"]["accuracy"] for name in ("flat", "gradient")]
        assert sum(sources) / 2 == pytest.approx(row["source_accuracy"])
        curve = result(analyses, variant, "flatness")["curves"][0]
        assert curve["mean"][0] == 0.0 and curve["mean"][2] != 0.0
        # Domains are of equal size, so that the mean over images is that over domains.
        hessian = result(analyses, variant, "hessian")
        assert hessian["loss"] == pytest.approx(curve["loss"], rel=1e-4)
        stability = result(analyses, variant, "stability")
        assert stability["start"] == 3 and stability["weights"]["raw"]["steps"] == [0, 2, 4, 5]
        assert len(result(analyses, variant, "grad_cam")["images"]) == 3
    assert result(analyses, "erm", "noise") == {"layers": []}
    assert {layer["bits"] for layer in result(analyses, "qtdog7", "noise")["layers"]} == {7}
    assert result(analyses, "erm", "noise_effect") == {"roles": {}}
    assert set(result(analyses, "qtdog7", "noise_effect")["roles"]) == {"source", "target"}


def test_pictures_are_drawn_where_there_is_something_to_see(analyses: Path) -> None:
    drawn = {
        str(p.relative_to(analyses / "a" / "line-trial0").with_suffix(""))
        for p in analyses.rglob("*.svg")
    }
    common = ("stability", "calibration", "grad_cam", "flatness")
    expected = {
        f"{variant}/selected_sma/{name}" for variant in ("erm", "qtdog7") for name in common
    }
    assert drawn == expected | {f"qtdog7/selected_sma/{name}" for name in ("noise", "code_use")}


def test_the_same_command_makes_what_is_missing_only(analyses: Path, trial: Path) -> None:
    folder = analyses / "a" / "line-trial0" / "erm" / "selected_sma"
    before = {path: path.stat().st_mtime_ns for path in analyses.rglob("*.json")}
    code_use = json.loads((folder / "code_use.json").read_text())["result"]
    (folder / "code_use.json").unlink()
    (folder / "flatness.svg").unlink()
    done = run_program("analyze", runs=trial.parent, output=analyses, **QUICK)
    assert done.returncode == 0, done.stderr
    assert "15 of 16 analyses are there already" in done.stdout
    after = {path: path.stat().st_mtime_ns for path in analyses.rglob("*.json")}
    assert {path for path in before if before[path] != after[path]} == {folder / "code_use.json"}
    assert json.loads((folder / "code_use.json").read_text())["result"] == code_use
    assert (folder / "flatness.svg").exists()


def test_figures_of_other_settings_are_not_taken_for_these(analyses: Path, trial: Path) -> None:
    other = {**QUICK, "flatness_radii": "0,1,3"}
    done = run_program("analyze", runs=trial.parent, output=analyses, **other)
    assert_refused(done, "flatness.json holds figures of something else")


def test_the_plane_through_three_models(trial: Path, tmp_path: Path) -> None:
    asked = {"runs": trial / "erm", "models": "last,last_sma,last_swa", "output": tmp_path}
    asked |= {"analyses": "code_use", "plane_resolution": 2}
    done = run_program("analyze", "--plane", **asked)
    assert done.returncode == 0, done.stderr
    figures, picture = tmp_path / "plane.json", tmp_path / "plane.svg"
    plane = json.loads(figures.read_text())["result"]
    assert len(plane["x"]) == len(plane["y"]) == 4 and picture.exists()
    # The same command prints its table again, and draws what is missing.
    before, table = figures.stat().st_mtime_ns, done.stdout[done.stdout.index("method") :]
    picture.unlink()
    done = run_program("analyze", "--plane", **asked)
    assert done.returncode == 0 and done.stdout.endswith(table), done.stderr
    assert picture.exists() and figures.stat().st_mtime_ns == before
    done = run_program("analyze", "--plane", **asked | {"plane_resolution": 3})
    assert_refused(done, "plane.json holds figures of something else (asked / there: plane resol")


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"analyses": "flatnes"}, "--analyses must be some of stability"),
        ({"models": "best"}, "--models must be some of selected_sma"),
        ({"models": "selected_swad"}, "there is no model"),
        ({"plane": True, "analyses": ""}, "a plane goes through three models"),
        ({"plane": True}, "a plane goes through three models; --runs and --models give 1"),
        ({"analyses": ""}, "there is nothing to do"),
        ({"flatness_radii": "3,2"}, "radii"),
    ],
)
def test_what_cannot_be_asked(trial: Path, tmp_path: Path, flags: dict, sentence: str) -> None:
    done = run_program("analyze", runs=trial / "erm", output=tmp_path / "new", **flags)
    assert_refused(done, sentence)
    assert not (tmp_path / "new").exists()


def test_a_report_of_it(analyses: Path, trial: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    done = run_program("report", runs=trial.parent, analyses=analyses, output=page)
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    assert "QT-DoG 7 bits" in text and "http://" not in text.replace("http://www.w3.org", "")
