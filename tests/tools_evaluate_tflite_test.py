"""The real programs on small files: accuracy of files, and reports side by side."""

import json
from pathlib import Path

import numpy as np
import pytest

from qtdog_tf.data import open_domains
from qtdog_tf.evaluation.pixels import read_pixels
from qtdog_tf.export.tflite.metadata import ModelInfo, add_metadata
from qtdog_tf.export.tflite.runner import open_file
from tests.programs import assert_refused, run_program
from tests.small_data import make_small_data
from tests.tflite_files import CLASSES, IMAGE_SIZE, write_tflite


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Domains with two classes that the file knows, one by a wrong name, and one that it lacks."""
    root = make_small_data(tmp_path_factory.mktemp("data") / "small")
    for domain in root.iterdir():
        (domain / "face").rename(domain / CLASSES[0])
    return root


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("files")
    paths = [write_tflite(folder, kind) for kind in ("float32", "uint8")]
    for path in paths:
        add_metadata(path, ModelInfo("small", "", "1", CLASSES))
    return paths


def test_accuracy_is_that_of_the_file_on_the_classes_it_knows(
    files: list[Path], data: Path, tmp_path: Path
) -> None:
    output = tmp_path / "figures.json"
    named = ",".join(map(str, files))
    done = run_program("evaluate_tflite", files=named, data=data, domains="line", output=output)
    assert done.returncode == 0, done.stderr
    assert "INFO" not in done.stderr
    domain_set = open_domains(str(data))
    domain = domain_set.domain("line")
    truth = np.array([domain_set.classes[label] for label in domain.labels])
    known = np.isin(truth, CLASSES)
    pixels = read_pixels(domain.paths_at(np.flatnonzero(known)), IMAGE_SIZE)
    for path, entry in zip(files, json.loads(output.read_text()), strict=True):
        with open_file(path) as classifier:
            answers = np.array(CLASSES)[classifier.predict(pixels).argmax(axis=1)]
        expected = np.mean(answers == truth[known])
        assert entry["images"] == {"line": 20} and entry["accuracy"] == {"line": expected}
        assert list(entry["skipped"]) == ["line"] and sum(entry["skipped"]["line"].values()) == 10
        assert entry["bytes"] == path.stat().st_size
        (row,) = [line.split() for line in done.stdout.splitlines() if line.startswith(path.name)]
        assert row[1:3] == [f"{100 * expected:.1f}", f"{path.stat().st_size:,}"]
    (lacking,) = set(truth[~known])
    assert done.stdout.endswith(
        f"\nnote: line: skipped 10 images of classes that the file does not know: {lacking} (10)\n"
    )


def test_what_cannot_be_asked_is_said_before_anything_runs(data: Path, tmp_path: Path) -> None:
    done = run_program("evaluate_tflite", files="", data=data)
    assert_refused(done, "--files= names no file")
    done = run_program("evaluate_tflite", files=tmp_path / "no.tflite", data=data, output=tmp_path)
    assert_refused(done, f"--output={tmp_path} is a folder, the name of a file is needed")


def test_a_file_without_class_names_is_refused(data: Path, tmp_path: Path) -> None:
    done = run_program("evaluate_tflite", files=write_tflite(tmp_path), data=data)
    assert_refused(done, "names no classes")


def test_what_is_no_report_is_refused(tmp_path: Path) -> None:
    assert_refused(run_program("compare_exports", reports=tmp_path / "a.json"), "cannot be read")
    (tmp_path / "a.json").write_text('{"checks": []}')
    assert_refused(run_program("compare_exports", reports=tmp_path / "a.json"), "is no report of")


def test_committed_reports_are_rows_of_a_table() -> None:
    results = Path(__file__).parents[1] / "tools" / "results" / "export_bits"
    reports = sorted(results.glob("*.report.json"))
    done = run_program("compare_exports", reports=",".join(map(str, reports)))
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("qtdog")]
    assert [row[0] for row in rows] == [path.name.partition(".")[0] for path in reports]
    assert len(rows) == 10 and {row[6] for row in rows} == {"0"}
