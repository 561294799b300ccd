"""What is damaged is named by one sentence, whatever the damage."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qtdog_tf.errors import UserError
from qtdog_tf.report.analyses import read_analyses
from qtdog_tf.report.analysis_shapes import RESULTS
from qtdog_tf.report.exports import read_exports
from qtdog_tf.report.shapes import COUNT, NUMBER, TEXT, Each, OrNone, mismatch
from tests import analysis_fixtures as made
from tests.build_files import ROOT


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> made.Study:
    return made.write_study(tmp_path_factory.mktemp("study"), trials=(0,), layers=1)


@pytest.mark.parametrize(
    ("value", "shape", "wrong"),
    [
        (3, NUMBER, None),
        (True, NUMBER, "it is not a number"),
        (math.nan, NUMBER, "it is not a number"),
        (10**400, NUMBER, "it is not a number"),
        (-1, COUNT, "it is not a whole number of at least 0"),
        ([1, "a"], [NUMBER], "it[1] is not a number"),
        ({"a": {"b": 1}}, {"a": {"b": TEXT}}, "a.b is not a text"),
        ({}, {"a": TEXT}, "a is missing"),
        ({}, {"a?": TEXT}, None),
        ({"a": 1}, {"a?": TEXT}, "a is not a text"),
        ({"x": 1, "y": "2"}, Each(NUMBER), "y is not a number"),
        (None, OrNone(TEXT), None),
        (None, {"a": TEXT}, "it is not a table of names and values"),
        ("a", [TEXT], "it is not a list"),
    ],
)
def test_what_does_not_fit_is_named(value: Any, shape: Any, wrong: str | None) -> None:
    assert mismatch(value, shape) == wrong


def test_every_analysis_is_read(study: made.Study) -> None:
    found = read_analyses([study.analyses])
    assert {entry.analysis for entry in found.entries} == set(RESULTS) - {"plane"}
    assert len(found.planes) == 1 and found.planes[0][1].startswith("python -m tools.analyze")
    assert list(found.of("flatness")) == ["ERM", "SAM", "SWA", "SWAD", "QT-DoG 7 bits"]
    entry = found.of("hessian")["SWAD"][0]
    assert (entry.pair, entry.variant, entry.model) == (("line", 0), "erm", "last_swad")


def test_series_of_several_models_of_a_method_are_told_apart(study: made.Study) -> None:
    raw = study.analyses / "erm/line-trial0/erm/selected/hessian.json"
    values = json.loads((raw.parents[1] / "selected_sma/hessian.json").read_text())
    made.write(raw, {**values, "model": "selected"})
    names = list(read_analyses([study.analyses]).of("hessian"))
    raw.unlink()
    assert names[:2] == ["ERM (selected)", "ERM (selected_sma)"] and "SWAD" in names


@pytest.mark.parametrize(
    ("analysis", "change", "sentence"),
    [
        ("flatness", lambda r: r.pop("radii"), "result.radii is missing"),
        ("flatness", lambda r: r["radii"].append(65.0), "not as long as the radii"),
        ("flatness", lambda r: r["curves"][0].update(mean="x"), "is not a list"),
        ("noise", lambda r: r["layers"].append({}), r"layers\[1\].name is missing"),
        ("noise", lambda r: r["layers"][0]["symmetry"]["lower"].pop(), "differ in length"),
        ("noise", lambda r: r["layers"][0]["histogram"]["edges"].pop(), "no edges that fit"),
        ("calibration", lambda r: r["domains"][0]["reliability"][9].update(accuracy=None), "a bin"),
        ("code_use", lambda r: r["layers"][0].update(entropy=None), "bits and no codes"),
        ("grad_cam", lambda r: r["images"][0]["heat"][0].pop(), "no rectangle"),
        ("stability", lambda r: r["weights"]["raw"]["source"].pop(), "as long as its steps"),
        ("hessian", lambda r: r.update(top=None), "result.top is not a table"),
    ],
)
def test_damage_is_named(
    study: made.Study, tmp_path: Path, analysis: str, change: Any, sentence: str
) -> None:
    source = study.analyses / f"erm/line-trial0/qtdog7/selected_sma/{analysis}.json"
    path = tmp_path / f"{analysis}.json"
    values = json.loads(source.read_text())
    change(values["result"])
    made.write(path, values)
    with pytest.raises(UserError, match=f"{path} is damaged .*{sentence}.*run tools.analyze again"):
        read_analyses([tmp_path])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda r: r["x"].reverse(), "do not rise"),
        (lambda r: r["grids"][0]["loss"].pop(), "not as large as its places"),
    ],
)
def test_a_damaged_plane_is_named(tmp_path: Path, change: Any, sentence: str) -> None:
    result = made.plane_result()
    change(result)
    made.write(tmp_path / "plane.json", {"result": result})
    with pytest.raises(UserError, match=sentence):
        read_analyses([tmp_path])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["result", "curves", "layers", "roles"]), inner, max_size=2
        )
    ),
    max_leaves=6,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(RESULTS)), JSON)
def test_any_json_is_read_or_refused(tmp_path: Path, analysis: str, value: Any) -> None:
    path = tmp_path / f"{analysis}.json"
    for other in tmp_path.iterdir():
        other.unlink()
    path.write_text(json.dumps(value))
    with pytest.raises(UserError) as caught:
        read_analyses([tmp_path])
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[" * 5000, '{"result": ' + "1" * 5000 + "}", "\xff"])
def test_what_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "noise.json").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match="noise.json is damaged"):
        read_analyses([tmp_path])


def test_folders_without_analyses_are_refused(tmp_path: Path, study: made.Study) -> None:
    with pytest.raises(UserError, match="is no folder"):
        read_analyses([tmp_path / "nowhere"])
    with pytest.raises(UserError, match="holds no analysis"):
        read_analyses([tmp_path])
    with pytest.raises(UserError, match="the same analysis of the same model"):
        read_analyses([study.analyses, study.analyses])


def test_exports_are_read_and_told_apart(tmp_path: Path) -> None:
    source = ROOT / "tools/results/export/emoji_line_qtdog7_int8.report.json"
    values = json.loads(source.read_text())
    for folder in ("a", "b"):
        made.write(tmp_path / folder / "m.report.json", values)
    paths = [tmp_path / folder / "m.report.json" for folder in ("a", "b")]
    assert list(read_exports(paths)) == ["m", "b/m"]
    made.edit(paths[0], lambda v: v["sizes"].pop("bytes"))
    with pytest.raises(UserError, match="sizes.bytes is missing"):
        read_exports(paths)
    with pytest.raises(UserError, match="cannot be read"):
        read_exports([tmp_path / "none.json"])
