"""The whole page: well-formed, self-contained, honest about what is there and what is not."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from qtdog_tf.report.material import gather
from qtdog_tf.report.page import render
from qtdog_tf.report.sections import make_sections
from tests import analysis_fixtures as made
from tests.build_files import ROOT
from tests.report_checks import Page

EXPORT = ROOT / "tools/results/export/emoji_line_qtdog7_int8.report.json"
HOSTILE = "\"><script>alert(1)</script>'<img src=x onerror=alert(1)>" + "n" * 300
SECTIONS = [
    *("In one minute", "What was run", "Accuracy on unseen domains"),
    *("Training curves and stability", "Flatness", "Quantization noise", "Loss plane"),
    *("Calibration", "Where models look (Grad-CAM)", "Files for phones", "What could be here"),
]


def page_of(**given: Any) -> tuple[Page, str]:
    material = gather(**given)
    text = render(material, make_sections(material))
    page = Page(text)
    assert not page.problems, page.problems[:5]
    assert "script" not in page.tags and "link" not in page.tags
    return page, text


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> made.Study:
    """Five methods, two targets, three trials: 18 runs, 30 models."""
    root = tmp_path_factory.mktemp("study")
    return made.write_study(root, ("line", "flat"), (0, 1, 2), layers=40)


@pytest.fixture(scope="module")
def whole(study: made.Study) -> tuple[Page, str]:
    return page_of(
        runs=[str(path) for path in study.outputs],
        analyses=[str(study.analyses)],
        exports=[str(EXPORT)],
        title="Is the minimum flatter?",
        command="python -m tools.report --output=report.html",
    )


def test_every_section_is_there(whole: tuple[Page, str]) -> None:
    page, text = whole
    titles = re.findall(r"<h2>(.*?)</h2>", text)
    assert titles == ["Contents", *SECTIONS]
    # Each is in the list of contents.
    contents = re.findall(r'<a href="#(\w+)">(.*?)</a>', text)
    assert [name for _, name in contents] == SECTIONS
    assert {name for name, _ in contents} <= set(page.ids)
    # Only models are missing.
    assert "Confusion matrices and example predictions" in page.text
    assert text.startswith("<!doctype html>") and '<html lang="en">' in text
    assert 'name="viewport"' in text and "prefers-color-scheme:dark" in text


def test_thirty_models_stay_small(whole: tuple[Page, str]) -> None:
    _, text = whole
    assert len(text.encode()) < 3_000_000 / 2
    assert text.count("<img ") == 30  # six images, each beside four methods


def test_it_repeats(whole: tuple[Page, str], study: made.Study) -> None:
    _, again = page_of(
        runs=[str(path) for path in study.outputs],
        analyses=[str(study.analyses)],
        exports=[str(EXPORT)],
        title="Is the minimum flatter?",
        command="python -m tools.report --output=report.html",
    )
    assert again == whole[1]


def test_every_figure_and_table_has_its_command(whole: tuple[Page, str]) -> None:
    _, text = whole
    for section in re.findall(r'<section id="\w+">.*?</section>', text, re.DOTALL):
        if "<figure>" in section or 'class="scroll"' in section:
            assert "python -m tools." in section, section[:60]


def test_the_summary_quotes_the_tables(whole: tuple[Page, str]) -> None:
    _, text = whole
    summary = text[text.index('id="minute"') : text.index('id="what"')]
    said = Page(f"<div {summary[: summary.rindex('<section')]}").text
    assert "18 finished runs: 3 methods (ERM, SAM, QT-DoG 7 bits), 2 targets" in said
    assert "over 6 pairs of equal target and split" in said
    assert "Flattest on training images. SWAD" in said and "at radius 40" in said
    assert "Over 30 models" in said
    table = re.search(r"<tr><th scope=\"row\">SWAD</th>(.*?)</tr>", text)
    average = re.findall(r"<b>(.*?)</b>", table[1])[0]
    assert f"SWAD is highest: {average} %" in said or "is highest" in said


def test_one_split_ranks_nothing(tmp_path: Path) -> None:
    small = made.write_study(tmp_path, trials=(0,), layers=1)
    page, _ = page_of(runs=[str(path) for path in small.outputs])
    assert "With one split there is no error bar: this ranks nothing." in page.text
    assert "one pair of equal target and split: no error bar" in page.text


def test_a_missing_run_is_not_ranked(tmp_path: Path) -> None:
    small = made.write_study(tmp_path, layers=1)
    (small.outputs[0] / "line-trial1" / "qtdog7" / "summary.json").unlink()
    page, text = page_of(runs=[str(path) for path in small.outputs])
    assert "Not ranked, since runs are missing: QT-DoG 7 bits." in page.text
    assert "1 of 2" in text and "1 run not finished, and left out." in page.text


def test_runs_alone(study: made.Study) -> None:
    page, text = page_of(runs=[str(study.outputs[0])])
    titles = re.findall(r"<h2>(.*?)</h2>", text)
    assert "Training curves and stability" in titles and "Flatness" not in titles
    wanted = "flatness,hessian,noise,noise_effect,code_use,calibration,grad_cam"
    assert f"--analyses={wanted}" in page.text
    assert "python -m tools.export_tflite" in page.text


def test_analyses_alone(study: made.Study) -> None:
    page, text = page_of(analyses=[str(study.analyses)])
    titles = re.findall(r"<h2>(.*?)</h2>", text)
    assert "Flatness" in titles and "Training curves and stability" in titles
    assert "30 models were analysed; no run folders were given." in page.text
    # Accuracies come from calibration then.
    assert "Correlation with target accuracy over the models above" in page.text


def test_committed_results_without_logs() -> None:
    page, _ = page_of(runs=[str(ROOT / "tools/results/emoji_styles")])
    assert "84.5 ± 0.6" in page.text and "ERM is highest" in page.text
    assert "They need the results.jsonl of the runs" in page.text


def test_runs_that_held_nothing_out(tmp_path: Path) -> None:
    made.write_output(tmp_path / "a", "erm", ("erm",), ("line",), (0,), tmp_path)
    made.edit(tmp_path / "a/line-trial0/erm/summary.json", lambda v: v.update(targets=[]))
    page, _ = page_of(runs=[str(tmp_path / "a")])
    assert "No run held out a domain" in page.text


def test_maps_whose_images_are_gone(tmp_path: Path) -> None:
    small = made.write_study(tmp_path, trials=(0,), layers=1)
    for path in small.photos.rglob("0.png"):
        path.unlink()
    page, text = page_of(analyses=[str(small.analyses)])
    assert "3 of these image files are gone" in page.text
    assert text.count('class="gone"') == 3


def test_names_from_outside_do_no_harm(tmp_path: Path) -> None:
    """Methods, layers, classes, paths, settings, titles may hold anything."""
    small = made.write_study(tmp_path, trials=(0, 1), layers=2)

    def hostile(values: Any) -> Any:
        if isinstance(values, dict):
            return {
                key: HOSTILE if isinstance(value, str) and key in texts else hostile(value)
                for key, value in values.items()
            }
        return [hostile(value) for value in values] if isinstance(values, list) else values

    texts = {"method", "command", "label", "name", "class", "truth", "predicted", "domain", "path"}
    for path in small.analyses.rglob("*.json"):
        path.write_text(json.dumps(hostile(json.loads(path.read_text()))))
    for path in list(small.analyses.rglob("hessian.json"))[:1]:
        made.edit(path, lambda v: v.update(run="\0\ud800"))
    texts = {"name", "backbone", "data", "git", "keras"}
    for path in small.outputs[0].rglob("*.json"):
        path.write_text(json.dumps(hostile(json.loads(path.read_text()))))
    texts = {"detail", "domain", "run", "kind", "name"}
    export = tmp_path / "<b>.report.json"
    export.write_text(json.dumps(hostile(json.loads(EXPORT.read_text()))))
    page, text = page_of(
        runs=[str(small.outputs[0])],
        analyses=[str(small.analyses)],
        exports=[str(export)],
        title=HOSTILE,
        baseline=HOSTILE,
        command=HOSTILE,
    )
    assert page.text.count("<script>alert(1)</script>") > 20
    assert "<script" not in text and "onerror=alert(1)>" not in text
