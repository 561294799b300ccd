"""The real programs on a small run: train, then evaluate and gallery, as a person would."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qtdog_tf.data import open_domains
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation import choose_images, evaluate_run, open_run
from tests.programs import assert_refused, run_program
from tests.small_data import CLASSES, IMAGES_PER_CLASS
from tests.small_runs import train_erm_and_qtdog7


@pytest.fixture(scope="module")
def trial(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs "erm" and "qtdog7" that held out "line"."""
    output = tmp_path_factory.mktemp("runs") / "a"
    return train_erm_and_qtdog7(data, output, steps=6, quantize_step=3, eval_every=5, sma_start=2)


@pytest.fixture(scope="module")
def new_data(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A domain "attic" with faces, no hand or vehicle, and robots, which no run knows."""
    root = tmp_path_factory.mktemp("data") / "new"
    shutil.copytree(data / "line" / "face", root / "attic" / "face")
    shutil.copytree(data / "line" / "hand", root / "attic" / "robot")
    return root


def test_evaluation_repeats_what_training_measured(trial: Path, tmp_path: Path) -> None:
    """Own listing, splits and loading of models lead to the figures of the run's summary."""
    done = run_program(
        "evaluate",
        runs=f"{trial}/erm,{trial}/qtdog7",
        model="last_sma",
        part="in",
        output=tmp_path / "new" / "folder",
    )
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "new" / "folder" / "evaluation.json").read_text())
    assert [entry["label"] for entry in written["runs"]] == ["erm", "qtdog7"]
    for entry in written["runs"]:
        summary = json.loads((trial / entry["label"] / "summary.json").read_text())
        expected = summary["rows"]["sma/last"]
        figures = {f["domain"]: f for f in entry["domains"]}
        assert list(figures) == ["flat", "gradient", "line"]
        assert figures["line"]["accuracy"] == pytest.approx(expected["target_in"])
        sources = [figures[name]["accuracy"] for name in ("flat", "gradient")]
        assert np.mean(sources) == pytest.approx(expected["source_train_accuracy"])
        for name, role in (("flat", "source"), ("gradient", "source"), ("line", "target")):
            assert (figures[name]["role"], figures[name]["part"]) == (role, "in")
            assert np.sum(figures[name]["confusion"]) == figures[name]["images"] == 24
        with Image.open(tmp_path / "new" / "folder" / entry["picture"]) as picture:
            assert min(picture.size) > 500
    line = [row.split() for row in done.stdout.splitlines() if row.startswith("line ")]
    shown = [f"{100 * entry['domains'][2]['accuracy']:.1f}" for entry in written["runs"]]
    assert [row[4:6] for row in line[:2]] == [["erm", shown[0]], ["qtdog7", shown[1]]]


def test_new_data_with_missing_and_unknown_classes(
    trial: Path, new_data: Path, tmp_path: Path
) -> None:
    done = run_program("evaluate", runs=trial / "qtdog7", data=new_data, output=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert (
        f"note: attic: skipped {IMAGES_PER_CLASS} images of classes that the run does not know: "
        f"robot ({IMAGES_PER_CLASS})"
    ) in done.stdout
    assert "note: attic: no image of hand, vehicle" in done.stdout
    (entry,) = json.loads((tmp_path / "evaluation.json").read_text())["runs"]
    (attic,) = entry["domains"]
    assert (attic["role"], attic["part"], attic["images"]) == ("new", "all", IMAGES_PER_CLASS)
    assert attic["unknown_classes"] == {"robot": IMAGES_PER_CLASS}
    assert (attic["classes"]["hand"]["images"], attic["classes"]["hand"]["recall"]) == (0, None)
    assert attic["mean_recall"] == attic["accuracy"] == attic["classes"]["face"]["recall"]


def test_strict_makes_unknown_classes_an_error(trial: Path, new_data: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    runs = trial / "qtdog7"
    done = run_program("evaluate", runs=runs, data=new_data, strict=True, output=output)
    assert_refused(done, "10 images are of classes that the run does not know (robot)")
    assert done.stdout == "" and not output.exists()


def test_gallery_of_the_held_out_domain(trial: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "predictions.png"
    done = run_program("gallery", runs=f"{trial}/erm,{trial}/qtdog7", output=output, images=7)
    assert done.returncode == 0, done.stderr
    assert "predictions on line" in done.stdout
    with Image.open(output) as picture:
        assert min(picture.size) > 500


def test_an_unreadable_image_is_named(trial: Path, new_data: Path, tmp_path: Path) -> None:
    shutil.copytree(new_data, tmp_path, dirs_exist_ok=True)
    victim = sorted((tmp_path / "attic" / "face").iterdir())[4]
    victim.write_bytes(victim.read_bytes()[:100])
    run = open_run(trial / "erm")
    chosen = choose_images(run, open_domains(str(tmp_path)))
    with pytest.raises(UserError, match=f"image {victim} .*tools.check_data"):
        evaluate_run(run, "selected", chosen)


def test_predictions_stay_with_their_domain(trial: Path, data: Path) -> None:
    """Domains evaluated together or alone give the same predictions in the same order."""
    run = open_run(trial / "qtdog7")
    domains = open_domains(str(data))
    together = evaluate_run(run, "last", choose_images(run, domains, part="all"))
    (alone,) = evaluate_run(run, "last", choose_images(run, domains, ("gradient",), part="all"))
    assert [p.result.domain for p in together] == ["flat", "gradient", "line"]
    np.testing.assert_allclose(together[1].logits, alone.logits, rtol=1e-5, atol=1e-5)
    assert alone.logits.shape == (len(CLASSES) * IMAGES_PER_CLASS, len(CLASSES))
