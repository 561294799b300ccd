"""Models that are still there say what they see on the unseen domain; others are named."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from qtdog_tf.data import open_domains, split_domains, split_fingerprint
from qtdog_tf.evaluation import DomainResult
from qtdog_tf.report.confusion import confusion
from qtdog_tf.report.material import Material, gather
from qtdog_tf.report.predictions import predictions_section, runs_to_show
from tests import analysis_fixtures as made
from tests.report_checks import Page


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs that held out "line", whose models always see a hand."""
    root = tmp_path_factory.mktemp("runs")
    photos = made.write_photos(root / "photos")
    made.write_output(root / "a", "erm", ("erm", "qtdog7"), ("line",), (0,), photos)
    data = open_domains(str(photos))
    split = split_fingerprint(split_domains(data, 0, 0.2))
    image = keras.Input((16, 16, 3), name="image")
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    bias = keras.initializers.Constant(2.0)
    head = keras.layers.Dense(3, kernel_initializer="zeros", bias_initializer=bias, name="head")
    model = keras.Model(image, head(pooled))
    model.layers[-1].set_weights([np.zeros((3, 3)), np.array([0.0, 2.0, 0.0])])
    for run in (root / "a/line-trial0").iterdir():
        if run.is_dir():
            made.edit(run / "run.json", lambda v: v.update(listing=data.fingerprint(), split=split))
            model.save(run / "selected_sma.keras")
    return root / "a"


def material(*outputs: Path) -> Material:
    return gather(runs=[str(path) for path in outputs])


def test_what_models_say_is_shown(output: Path) -> None:
    section = predictions_section(material(output), images=5, seed=0)
    page = Page(section.body)
    assert not page.problems and not section.missing
    assert "ERM on line: 33.3 % right" in page.text and "QT-DoG 7 bits on line" in page.text
    # Four images of each class, all taken for the second one.
    assert page.text.count("face (4)") == page.text.count("hand (4)") == 2
    assert section.body.count("--part:1.00") == 2 * 3
    assert page.tags.count("img") == 5 and "5 of 12 images, drawn at random (seed 0)" in page.text
    sure = 100 * np.exp(2) / (np.exp(2) + 2)
    assert page.text.count(f" hand {sure:.0f} %") == 5 * 2
    assert f"--runs={output}/line-trial0/erm,{output}/line-trial0/qtdog7" in page.text


def test_data_that_is_gone_is_named(output: Path, tmp_path: Path) -> None:
    shutil.copytree(output, tmp_path / "a")
    for path in (tmp_path / "a").glob("*/*/run.json"):
        made.edit(path, lambda v: v.update(data=str(tmp_path / "gone")))
    section = predictions_section(material(tmp_path / "a"), images=5, seed=0)
    assert not section.body
    assert "It could not be made" in section.missing[0].why and "gone" in section.missing[0].why


def test_runs_that_cannot_be_shown_side_by_side_are_named(output: Path, tmp_path: Path) -> None:
    """The same images by another path are not known to be the same."""
    shutil.copytree(output, tmp_path / "a")
    (tmp_path / "photos").symlink_to(output.parent / "photos")
    path = tmp_path / "a/line-trial0/qtdog7/run.json"
    made.edit(path, lambda v: v.update(data=str(tmp_path / "photos")))
    section = predictions_section(material(tmp_path / "a"), images=5, seed=0)
    assert not section.body
    assert "has not held out the same images as the first" in section.missing[0].why


def test_runs_without_models_are_left_out(output: Path, tmp_path: Path) -> None:
    shutil.copytree(output, tmp_path / "a")
    (tmp_path / "a/line-trial0/erm/selected_sma.keras").unlink()
    assert list(runs_to_show(material(tmp_path / "a"))) == ["QT-DoG 7 bits"]
    (tmp_path / "a/line-trial0/qtdog7/selected_sma.keras").unlink()
    section = predictions_section(material(tmp_path / "a"), images=5, seed=0)
    assert not section.body and "still hold their models" in section.missing[0].why


def test_of_many_runs_the_baseline_and_quantized_ones_are_shown(
    output: Path, tmp_path: Path
) -> None:
    shutil.copytree(output, tmp_path / "a")
    for variant in ("frozen7", "qtdog5"):
        folder = tmp_path / "a/line-trial0" / variant
        shutil.copytree(tmp_path / "a/line-trial0/qtdog7", folder)
        made.edit(folder / "summary.json", lambda v, name=variant: v["variant"].update(name=name))
    shown = list(runs_to_show(material(tmp_path / "a")))
    assert shown == ["ERM", "QT-DoG 5 bits", "QT-DoG 7 bits"] or "frozen" not in " ".join(shown)
    assert len(shown) == 3


@pytest.mark.parametrize("classes", [3, 30])
def test_many_classes_are_a_picture(classes: int) -> None:
    names = tuple(f"<b>{i}" for i in range(classes))
    counts = np.eye(classes, dtype=int)
    result = DomainResult("line", "target", "all", {}, names, counts, 0.1)
    shown = confusion(result, "ERM on <line>")
    page = Page(shown)
    assert not page.problems
    assert ("table" in page.tags, "img" in page.tags) == (classes == 3, classes == 30)
    assert json.dumps("ERM on <line>")[1:-1] in page.text or "ERM on &lt;line&gt;" in shown
