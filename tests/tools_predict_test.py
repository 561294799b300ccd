"""The real program on a small file: what a person sees of good and of bad images."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qtdog_tf.data import Domain, evaluation_batches
from qtdog_tf.export.image_files import list_images, read_images
from qtdog_tf.export.tflite.metadata import ModelInfo, add_metadata
from qtdog_tf.export.tflite.runner import open_file
from tests.programs import REPOSITORY, assert_refused, run_program
from tests.tflite_files import CLASSES, IMAGE_SIZE, write_tflite


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_tflite(tmp_path_factory.mktemp("model"))
    add_metadata(path, ModelInfo("small", "", "1", CLASSES))
    return path


def expected_of(model: Path, paths: list[str]) -> np.ndarray:
    """Probabilities on the pixels of training's own evaluation."""
    domain = Domain("all", tuple(paths), np.zeros(len(paths), np.int32))
    batches = evaluation_batches(
        domain, np.arange(len(paths)), image_size=IMAGE_SIZE, batch_size=32
    )
    with open_file(model) as classifier:
        return classifier.predict(np.concatenate([images for images, _ in batches]))


def test_json_of_a_folder_is_what_evaluation_would_see(
    model: Path, data: Path, tmp_path: Path
) -> None:
    output = tmp_path / "new" / "predictions.json"
    done = run_program("predict", str(data), file=model, format="json", output=output, top=9)
    assert done.returncode == 0, done.stderr
    assert "predictions for 90 images" in done.stdout
    written = json.loads(output.read_text())
    paths = [image["path"] for image in written["images"]]
    assert paths == sorted(str(path) for path in data.rglob("*.png"))
    assert written["skipped"] == []
    for image, probabilities in zip(written["images"], expected_of(model, paths), strict=True):
        shown = image["predictions"]
        assert [entry["probability"] for entry in shown] == sorted(probabilities, reverse=True)
        for entry in shown:
            assert entry["probability"] == probabilities[CLASSES.index(entry["class"])]


def test_table_on_standard_output_and_flags_after_images(model: Path, data: Path) -> None:
    images = sorted(map(str, (data / "line" / "face").iterdir()))[:3]
    done = run_program("predict", *images, file=model, top=2)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    header, _, *rows = done.stdout.splitlines()
    assert header.split() == ["image", "1.", "%", "2.", "%"]
    for row, path, probabilities in zip(rows, images, expected_of(model, images), strict=True):
        best = int(probabilities.argmax())
        assert row.split()[:3] == [path, CLASSES[best], f"{100 * probabilities[best]:.1f}"]


def test_bad_images_are_named_and_the_rest_is_done(model: Path, data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "flat" / "hand", tmp_path / "hand")
    victim = sorted((tmp_path / "hand").iterdir())[4]
    victim.write_bytes(victim.read_bytes()[:100])
    (tmp_path / "empty").mkdir()
    done = run_program(
        "predict",
        *(str(tmp_path / name) for name in ("hand", "none.png", "empty")),
        file=model,
        format="json",
    )
    assert done.returncode == 1
    assert f"skipped: {victim} is truncated, damaged, or of a kind" in done.stderr
    assert f"skipped: {tmp_path / 'none.png'} cannot be opened (No such file" in done.stderr
    assert f"skipped: {tmp_path / 'empty'} is a folder without images" in done.stderr
    assert "skipped 3 of 12 images" in done.stderr and "Traceback" not in done.stderr
    written = json.loads(done.stdout)
    assert len(written["images"]) == 9
    assert written["skipped"][0]["path"] == str(victim)


def test_a_list_on_standard_input(model: Path, data: Path) -> None:
    image = sorted((data / "flat" / "face").iterdir())[0]
    lines = f"{image}\n\n{data / 'line' / 'hand'}\n/odd\0name\n".encode() + b"/no\xff\x1b[31m.png\n"
    done = subprocess.run(
        [sys.executable, "-m", "tools.predict", f"--file={model}", "--format=json", "-"],
        cwd=REPOSITORY,
        input=lines,
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 1
    written = json.loads(done.stdout)
    assert len(written["images"]) == 11 and written["images"][0]["path"] == str(image)
    assert [entry["problem"][:20] for entry in written["skipped"]] == [
        "is no name of a file",
        "cannot be opened (No",
    ]
    assert b"\x1b" not in done.stdout + done.stderr


def test_labels_of_ones_own(model: Path, data: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("un\ndeux\ntrois\nquatre\ncinq\n", encoding="utf-8")
    image = str(sorted((data / "flat" / "face").iterdir())[0])
    done = run_program("predict", image, file=model, labels=labels, top=9)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("un", "deux", "trois", "quatre", "cinq"))
    labels.write_text("un\ndeux\n", encoding="utf-8")
    done = run_program("predict", image, file=model, labels=labels)
    assert_refused(done, "has 2 lines, but")


def test_mistakes_are_one_sentence(model: Path, tmp_path: Path) -> None:
    assert_refused(run_program("predict", file=model), "no images: name files or folders, or -")
    done = run_program("predict", "a.jpg", file=tmp_path / "none.tflite")
    assert_refused(done, "none.tflite cannot be opened: No such file or directory")
    truncated = tmp_path / "truncated.tflite"
    truncated.write_bytes(model.read_bytes()[:3000])
    assert_refused(run_program("predict", "a.jpg", file=truncated), "is truncated or damaged")
    done = run_program("predict", "a.jpg", file=model, output=tmp_path)
    assert_refused(done, "is a folder, the name of a file is needed")


def test_reading_ahead_keeps_the_order(data: Path, tmp_path: Path) -> None:
    """More images than are read at once, of different sizes."""
    image = Image.open(next((data / "flat" / "face").iterdir())).convert("RGB")
    for number in range(150):
        image.resize((20 + number, 30)).save(tmp_path / f"{number:03}.png")
    paths = list_images([str(tmp_path)])
    read = list(read_images(paths, 8, threads=3))
    assert [entry.path for entry in read] == paths and len(paths) == 150
    assert all(entry.pixels.shape == (8, 8, 3) for entry in read)
    assert list(read_images([], 8)) == []


def test_mediapipe_that_is_missing_is_one_sentence(model: Path) -> None:
    done = run_program("check_mediapipe", file=model, images=2, python="/bin/false")
    assert_refused(done, "MediaPipe ended with code 1")
    without = "import sys; sys.modules['mediapipe'] = None; sys.argv = ['child', 'm', 'i']"
    program = (
        f"{without}; import runpy; runpy.run_path('tools/_mediapipe_child.py', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert list(json.loads(done.stdout)) == ["missing"]
