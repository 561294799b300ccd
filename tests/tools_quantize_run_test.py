"""The real program: a float run quantized after training is a run like the others."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from qtdog_tf.data import open_domains
from qtdog_tf.evaluation import choose_images, evaluate_run, open_run
from qtdog_tf.quantization import quantize_wrappers
from tests.programs import assert_refused, run_program
from tests.small_data import make_small_data
from tests.small_runs import train_erm_and_qtdog7

MODELS = ("selected_sma", "selected", "last_sma", "last")


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a trial with the runs "erm" and "qtdog7"."""
    data = make_small_data(tmp_path_factory.mktemp("data") / "small")
    return train_erm_and_qtdog7(data, tmp_path_factory.mktemp("runs") / "a")


@pytest.fixture(scope="module")
def quantized(trial: Path) -> dict[str, str]:
    """What the program printed, by the name of the new run."""
    printed = {}
    for method, bits, models in (("rtn", 7, "selected,last"), ("obc", 4, "")):
        done = run_program(
            "quantize_run", run=trial / "erm", method=method, bits=bits, models=models
        )
        assert done.returncode == 0, done.stderr
        printed[f"ptq_{method}{bits}"] = done.stdout
    return printed


@pytest.mark.parametrize("name", ["ptq_rtn7", "ptq_obc4"])
def test_every_model_of_the_run_has_exact_codes(
    trial: Path, quantized: dict[str, str], name: str
) -> None:
    folder, bits = trial / name, int(name[-1])
    models = MODELS[1::2] if name == "ptq_rtn7" else MODELS
    assert {path.stem for path in folder.glob("*.keras")} == set(models)
    for model in models[-2:]:
        wrappers = quantize_wrappers(keras.saving.load_model(folder / f"{model}.keras"))
        floats = quantize_wrappers(keras.saving.load_model(trial / "erm" / f"{model}.keras"))
        assert len(wrappers) == len(floats) == 4
        for wrapper, plain in zip(wrappers, floats, strict=True):
            [(weight, quantizer, variables)] = wrapper.quantized_weights
            assert (wrapper.mode, quantizer.bits) == ("train", bits)
            step_size = variables["step_size"].numpy()
            codes = np.rint(weight.numpy() / step_size)
            np.testing.assert_array_equal(weight.numpy(), codes * step_size)
            assert np.abs(codes).max() <= 2 ** (bits - 1)
            moved = np.abs(weight.numpy() - plain.layer.weights[0].numpy())
            assert 0 < moved.max() <= (0.5 if "rtn" in name else 3) * step_size.max()


def test_the_summary_has_the_rows_of_a_run_and_reports_the_files(
    trial: Path, quantized: dict[str, str]
) -> None:
    summary, plain, qtdog = (
        json.loads((trial / name / "summary.json").read_text())
        for name in ("ptq_obc4", "erm", "qtdog7")
    )
    assert summary["variant"] == {"name": "ptq_obc4", "mode": "train", "bits": 4}
    rows = {"sma/source_validation", "raw/source_validation", "sma/last", "raw/last"}
    assert summary["rows"].keys() == rows and summary["float_bytes"] == plain["float_bytes"]
    assert summary["bytes"] < qtdog["bytes"] < plain["bytes"]
    for row in rows:
        assert summary["rows"][row].keys() == plain["rows"][row].keys()
        assert summary["rows"][row]["step"] == plain["rows"][row]["step"]
        assert summary["rows"][row]["quantized"] and not plain["rows"][row]["quantized"]
        assert summary["float_rows"][row] == plain["rows"][row]
    # As another program measures the file.
    run = open_run(trial / "ptq_obc4")
    for part in ("in", "out"):
        chosen = choose_images(run, open_domains(run.data), ("line",), part)
        (found,) = evaluate_run(run, "selected", chosen)
        expected = summary["rows"]["raw/source_validation"][f"target_{part}"]
        assert found.result.accuracy == pytest.approx(expected)
    identity = [json.loads((trial / n / "run.json").read_text()) for n in ("ptq_obc4", "erm")]
    assert identity[0] == {**identity[1], "variant": summary["variant"]}


def test_other_programs_take_it(trial: Path, quantized: dict[str, str], tmp_path: Path) -> None:
    done = run_program("compare", runs=trial.parent)
    assert done.returncode == 0, done.stderr
    names = [line.split()[0] for line in done.stdout.splitlines() if line.strip()]
    # Four selection rules on two parts, each in a table of means and one of pairs.
    assert names.count("ptq_obc4") == names.count("qtdog7") == 16
    assert names.count("ptq_rtn7") == 8
    output = tmp_path / "model.tflite"
    done = run_program("export_tflite", run=trial / "ptq_obc4", output=output)
    assert done.returncode == 0 and output.exists(), done.stdout + done.stderr


def test_the_same_command_prints_the_same_table(trial: Path, quantized: dict[str, str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in (trial / "ptq_rtn7").iterdir()}
    again = run_program(
        "quantize_run", run=trial / "erm", method="rtn", bits=7, models="last,selected"
    )
    assert again.returncode == 0 and again.stdout == quantized["ptq_rtn7"], again.stderr
    assert {path: path.stat().st_mtime_ns for path in (trial / "ptq_rtn7").iterdir()} == before
    other = run_program(
        "quantize_run", run=trial / "erm", bits=6, output=trial / "ptq_rtn7", models="last"
    )
    assert_refused(other, "belongs to a run of other settings")


def test_interrupted_work_goes_on_with_the_next_model(
    trial: Path, quantized: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "ptq"
    shutil.copytree(trial / "ptq_obc4", folder)
    (folder / "summary.json").unlink()
    (folder / "last.keras").unlink()
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("*.keras")}
    done = run_program("quantize_run", run=trial / "erm", method="obc", bits=4, output=folder)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    summaries = [(f / "summary.json").read_bytes() for f in (folder, trial / "ptq_obc4")]
    assert summaries[0] == summaries[1]


def test_what_cannot_be_is_refused_and_nothing_written(trial: Path, tmp_path: Path) -> None:
    output = tmp_path / "ptq"
    for values, sentence in (
        ({"run": trial / "qtdog7"}, "is quantized already (qtdog7): name a float run"),
        ({"run": trial / "erm", "bits": 9}, "bits must be at most 8; received 9"),
        ({"run": trial / "erm", "models": "best"}, "models must be different ones of selected_sma"),
        ({"run": trial / "erm", "models": "last_swad"}, "there is no model"),
    ):
        assert_refused(run_program("quantize_run", **values, output=output), sentence)
    copy = tmp_path / "copy"
    shutil.copytree(trial / "erm", copy)
    shutil.copy(trial / "qtdog7" / "last.keras", copy)
    assert_refused(
        run_program("quantize_run", run=copy, output=output), "is quantized, though its run.json"
    )
    values = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps({**values, "listing": "0"}))
    done = run_program("quantize_run", run=copy, output=output, method="obc")
    assert_refused(done, "has changed since run")
    assert not output.exists()
