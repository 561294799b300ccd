"""The real exporting program on a small run: what it writes, says and refuses."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from qtdog_tf.data import open_domains
from qtdog_tf.evaluation.pixels import read_pixels
from qtdog_tf.export import open_file, read_info
from tests.programs import run_program
from tests.refusals import refusals_of
from tests.small_data import CLASSES, DOMAINS
from tests.small_runs import train_erm_and_qtdog7


@pytest.fixture(scope="module")
def trial(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs "erm" and "qtdog7" that held out "line"."""
    output = tmp_path_factory.mktemp("runs") / "a"
    return train_erm_and_qtdog7(
        data, output, steps=60, quantize_step=20, eval_every=20, sma_start=30
    )


@pytest.fixture(scope="module")
def asking() -> Iterator[Callable[..., str]]:
    with refusals_of("export_tflite") as ask:
        yield ask


@pytest.fixture
def refusal(asking: Callable[..., str], trial: Path, tmp_path: Path) -> Callable[..., str]:
    """Exports with flags; returns what is said, having checked that nothing was written."""

    def ask(**values: object) -> str:
        folder = tmp_path / "output"
        answer = asking(**{"run": trial / "qtdog7", "output": folder / "model.tflite", **values})
        assert not folder.exists()
        return answer

    return ask


def said(done: subprocess.CompletedProcess[str]) -> str:
    """What a program wrote to stderr, without LiteRT's remark that it has made a delegate."""
    lines = done.stderr.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("INFO: Created TensorFlow Lite"))


@pytest.fixture(scope="module")
def exported(trial: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The int8 file of "qtdog7", and what the program printed."""
    output = tmp_path_factory.mktemp("exports") / "new" / "small.tflite"
    done = run_program(
        "export_tflite",
        run=trial / "qtdog7",
        output=output,
        calibration_images=30,
        model_version="3.1",
        min_agreement=0.8,
    )
    assert done.returncode == 0, done.stderr
    assert said(done) == ""
    return output, done.stdout


def test_a_run_becomes_an_int8_file(exported: tuple[Path, str], trial: Path) -> None:
    output, _ = exported
    assert sorted(path.name for path in output.parent.iterdir()) == [
        *("small.log", "small.report.json", "small.report.txt", "small.tflite")
    ]
    info = read_info(output)
    assert info is not None and (info.classes, info.version) == (CLASSES, "3.1")
    assert info.name == "qtdog7 tiny"
    assert "Tells 3 classes apart; trained on flat, gradient of " in info.description
    with open_file(output) as classifier:
        assert (classifier.input_type, classifier.image_size) == ("uint8", 16)


def test_its_report_says_the_same_to_people_and_programs(
    exported: tuple[Path, str], trial: Path, data: Path
) -> None:
    output, printed = exported
    text = output.with_suffix(".report.txt").read_text()
    assert printed == text + f"\nint8 file: {output}\n"
    values = json.loads(output.with_suffix(".report.json").read_text())
    assert values["passed"] and values["run"] == str(trial / "qtdog7")
    assert [check["name"] for check in values["checks"] if check["passed"]] == [
        *("codes", "scales", "biases", "layers", "float operators", "agreement")
    ]
    domains = {entry["domain"]: entry for entry in values["domains"]}
    assert list(domains) == list(DOMAINS)
    for name, entry in domains.items():
        assert (entry["role"], entry["images"]) == ("target" if name == "line" else "source", 30)
        (line,) = [row.split() for row in text.splitlines() if row.startswith(f"{name} ")]
        assert line[3:6] == [
            f"{100 * entry[key]:.1f}" for key in ("same_class", "model_accuracy", "file_accuracy")
        ]
    # Half of 30 from each source domain; of 30 images, 24 are trained on.
    assert values["calibration"]["domains"] == {"flat": 15, "gradient": 15}
    assert "Calibrated on 30 training images (15 of flat, 15 of gradient; seed 0" in text
    assert values["sizes"]["bytes"] == output.stat().st_size
    assert f"{output.stat().st_size / 1e6:.3f}" in text
    assert set(values["latency_ms"]) == {"1", "2"}


def test_the_accuracies_are_those_of_the_file(exported: tuple[Path, str], data: Path) -> None:
    output, _ = exported
    values = json.loads(output.with_suffix(".report.json").read_text())
    domain = open_domains(str(data)).domain("line")
    pixels = read_pixels(domain.paths_at(np.arange(len(domain))), 16)
    with open_file(output) as classifier:
        named = classifier.predict(pixels).argmax(axis=1)
    expected = float(np.mean(named == domain.labels))
    assert values["domains"][2]["file_accuracy"] == pytest.approx(expected)


def test_a_file_that_fails_the_gate_does_not_get_its_name(trial: Path, tmp_path: Path) -> None:
    # A range that cuts off half of every activation.
    done = run_program(
        "export_tflite",
        run=trial / "qtdog7",
        output=tmp_path / "model.tflite",
        observer="percentile",
        percentile=51,
        min_agreement=1,
    )
    assert done.returncode == 1, done.stderr
    report = tmp_path / "model.report.txt"
    assert said(done) == (
        "error: the file failed the checks marked FAILED, so "
        f"{tmp_path / 'model.tflite'} was not written; the whole report is in {report}\n"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("model.log", "model.report.json", "model.report.txt")
    ]
    assert "FAILED  agreement" in report.read_text() and "ok      codes" in report.read_text()
    values = json.loads((tmp_path / "model.report.json").read_text())
    assert not values["passed"] and values["latency_ms"] is None


def test_calibration_on_the_target_is_warned_of(trial: Path, data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "line", tmp_path / "other" / "line")
    done = run_program(
        "export_tflite",
        run=trial / "qtdog7",
        output=tmp_path / "model.tflite",
        calibration_data=tmp_path / "other",
        calibration_images=8,
        min_agreement=0.5,
        data=data,
    )
    assert done.returncode == 0, done.stderr
    warning = said(done)
    assert warning.startswith("warning: calibration uses domain 'line', which the run held out")
    assert warning.count("\n") == 1
    values = json.loads((tmp_path / "model.report.json").read_text())
    assert values["calibration"]["domains"] == {"line": 8}
    assert values["calibration"]["warnings"] == [warning.removeprefix("warning: ").strip()]


def test_a_float_run_is_exported_as_float32(trial: Path, tmp_path: Path) -> None:
    output = tmp_path / "erm.tflite"
    # Images to calibrate with are not asked for.
    done = run_program(
        "export_tflite",
        run=trial / "erm",
        kind="float32",
        output=output,
        calibration_data=tmp_path / "nowhere",
    )
    assert done.returncode == 0, done.stderr
    assert said(done) == "" and "Calibrated" not in done.stdout
    values = json.loads((tmp_path / "erm.report.json").read_text())
    assert values["calibration"] is None
    assert all(entry["same_class"] == 1 for entry in values["domains"])
    assert values["probabilities"]["max_difference"] < 1e-5


def test_refusals_name_what_can_be_done(
    refusal: Callable[..., str], trial: Path, tmp_path: Path, exported: tuple[Path, str]
) -> None:
    assert refusal(run=trial / "erm") == (
        "no layer of this model is quantized, and --kind=int8 ships learned codes: train a "
        "quantized variant (qtdog7), or export --kind=float32 or dynamic"
    )
    assert "has 7-bit codes, int4 takes 4 at most: train for int4 with --variants=qtdog4" in (
        refusal(kind="int4")
    )
    assert "must end in .tflite" in refusal(output=tmp_path / "output" / "model.keras")
    assert "exists: remove it, or choose another name" in refusal(output=exported[0])
    assert "--input_type=int8 is for integer files" in refusal(kind="float32", input_type="int8")
    assert "calibration_images" in refusal(calibration_images=0)
    assert "Unknown command line flag 'kinds'" in refusal(kinds="int8")
    assert "int16" in refusal(kind="int16")


def test_data_and_models_that_are_not_there_or_damaged_are_refused(
    refusal: Callable[..., str], trial: Path, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    assert str(tmp_path / "empty") in refusal(calibration_data=tmp_path / "empty")
    (tmp_path / "empty" / "domain" / "face").mkdir(parents=True)
    assert str(tmp_path / "empty") in refusal(calibration_data=tmp_path / "empty")
    assert str(tmp_path / "nowhere") in refusal(run=tmp_path / "nowhere")
    shutil.copytree(trial / "qtdog7", tmp_path / "run")
    model = tmp_path / "run" / "selected.keras"
    contents = bytearray(model.read_bytes())
    contents[len(contents) // 2] ^= 0xFF
    model.write_bytes(contents)
    answers = [refusal(run=tmp_path / "run", model="selected")]
    model.write_bytes(contents[:1000])
    answers.append(refusal(run=tmp_path / "run", model="selected"))
    for answer in answers:
        assert answer.startswith(f"model {model} is ") and "damaged" in answer
    shutil.copytree(data, tmp_path / "data")
    image = next((tmp_path / "data" / "flat" / "face").iterdir())
    image.write_bytes(b"")
    assert str(image) in refusal(data=tmp_path / "data", calibration_data=data)
