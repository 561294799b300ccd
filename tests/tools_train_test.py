"""The training program on small real data: what it writes, goes on with, and refuses."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qtdog_tf.locks import hold
from tests.programs import (
    REPOSITORY,
    assert_refused,
    run_program,
    started_program,
    wait_for,
)
from tests.refusals import refusals_of
from tests.small_data import TINY_RUN
from tools._run_digest import run_digests


@pytest.fixture(scope="module")
def asking() -> Iterator[Callable[..., str]]:
    with refusals_of("train") as ask:
        yield ask


@pytest.fixture
def refusal(asking: Callable[..., str], data: Path, tmp_path: Path) -> Callable[..., str]:
    def ask(**values: object) -> str:
        return asking(**{**TINY_RUN, "data": data, "output": tmp_path / "runs", **values})

    return ask


def test_leave_one_domain_out_then_ship(data: Path, tmp_path: Path) -> None:
    output = tmp_path / "runs"
    plan = {**TINY_RUN, "data": data, "output": output, "variants": "erm,qtdog4"}
    done = run_program("train", target_domains="line,flat", **plan)
    assert done.returncode == 0, done.stderr
    folder = output / "line+flat-trial0"
    for name in ("erm", "qtdog4"):
        written = {path.name for path in (folder / name).iterdir()}
        assert written == {
            *(
                "run.json",
                "summary.json",
                "results.jsonl",
                "scalars.jsonl",
                "layers.txt",
                "tensorboard",
            ),
            *("selected.keras", "selected_sma.keras", "last.keras", "last_sma.keras"),
        }
    assert "line+flat" in done.stdout and "qtdog4" in done.stdout

    table = done.stdout
    again = run_program("train", target_domains="line,flat", **plan)
    assert again.returncode == 0 and again.stdout == table
    shipped = run_program("train", target_domains="none", **{**plan, "variants": "qtdog4"})
    assert shipped.returncode == 0, shipped.stderr
    summary = json.loads((output / "all_domains-trial0" / "qtdog4" / "summary.json").read_text())
    assert summary["sources"] == ["flat", "gradient", "line"] and summary["targets"] == []
    assert not any("oracle" in row for row in summary["rows"])


def test_sigterm_saves_at_once_and_the_same_command_goes_on(data: Path, tmp_path: Path) -> None:
    plan = {**TINY_RUN, "steps": 150, "quantize_step": 4, "data": data, "target_domains": "line"}
    plan["eval_every"] = 75
    straight = run_program("train", output=tmp_path / "straight", **plan)
    assert straight.returncode == 0, straight.stderr

    output = tmp_path / "stopped"
    checkpoints = output / "line-trial0" / "qtdog7" / "checkpoints"
    with (
        (tmp_path / "errors").open("w+") as file,
        started_program("train", file, output=output, **plan) as process,
    ):
        wait_for(checkpoints.exists, process)
        process.terminate()
        process.join()
        errors = (tmp_path / "errors").read_text()
        assert process.exitcode == 128 + signal.SIGTERM, errors
    assert "the state is saved: the same command goes on from here" in errors
    assert "Traceback" not in errors and checkpoints.exists()

    resumed = run_program("train", output=output, **plan)
    assert resumed.returncode == 0 and resumed.stdout == straight.stdout, resumed.stderr
    assert run_digests(output) == run_digests(tmp_path / "straight")


def test_a_second_process_on_a_run_is_refused(refusal: Callable[..., str], tmp_path: Path) -> None:
    # The first gets as far as the folder of the trial.
    values = {"target_domains": "line", "weights": "imagenet"}
    assert "has no pretrained weights" in refusal(**values)
    with hold(tmp_path / "runs" / "line-trial0"):
        sentence = refusal(**values)
    assert f"line-trial0 is being trained by process {os.getpid()} on " in sentence


def test_unknown_flag_ends_without_traceback() -> None:
    done = run_program("train", output="runs", quantise_step=5)
    assert done.returncode == 2
    assert "Unknown command line flag 'quantise_step'" in done.stderr
    assert "quantize_step" in done.stderr and "Traceback" not in done.stderr


def test_one_sentence_and_nothing_written(data: Path, tmp_path: Path) -> None:
    output = tmp_path / "runs"
    done = run_program("train", data=data, output=output, variants="qtdog9", **TINY_RUN)
    assert_refused(done, "bits must be from 2 to 8")
    assert not output.exists()


def test_disk_full_is_one_sentence(data: Path, tmp_path: Path) -> None:
    """A limit on file sizes stands in for the full disk: the same kind of failed write."""
    arguments = {**TINY_RUN, "data": data, "output": tmp_path / "runs", "target_domains": "line"}
    done = subprocess.run(
        [sys.executable, "-m", "tools.train", *(f"--{k}={v}" for k, v in arguments.items())],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )
    assert done.returncode == 2, done.stderr
    assert "error: cannot write" in done.stderr and "Traceback" not in done.stderr
    assert not list((tmp_path / "runs").rglob(".writing-*"))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"target_domains": "sketch"}, "there is no domain 'sketch'; the data has flat, gradient"),
        (
            {"target_domains": "line", "source_domains": "flat,line"},
            "domain 'line' is both a source and a target",
        ),
        ({"variants": "qtdog1"}, "variant 'qtdog1': bits must be from 2 to 8"),
        ({"variants": "sgd"}, "unknown variant 'sgd'"),
        ({"quantize_step": 12}, "quantize_step (12) must be below steps (12)"),
        ({"trial_seeds": "0,x"}, "trial_seeds must be whole numbers"),
        ({"trial_seeds": "0,00"}, "trial_seeds must be one or more different numbers"),
        ({"backbone": "resnet51"}, "unknown backbone 'resnet51'"),
        ({"data": "no/such/folder"}, "no/such/folder"),
        ({"holdout": 1.5}, "holdout must be at most 0.9; received 1.5"),
        ({"split_by": "("}, "is not a regular expression"),
        ({"algorithm": "distill"}, "algorithm distill needs a teacher"),
        ({"algorithm": "distill", "teacher": "no/run"}, "run folder no/run does not exist"),
    ],
)
def test_refused_settings(
    refusal: Callable[..., str], values: dict[str, object], sentence: str
) -> None:
    assert sentence in refusal(**values)


def test_folder_of_another_run_is_refused(refusal: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "thesis.txt").write_text("years of work")
    assert "holds other files" in refusal()
    (tmp_path / "runs" / "thesis.txt").unlink()
    assert "unknown backbone" in refusal(backbone="resnet51")
    assert not list((tmp_path / "runs").iterdir())
    # Known only when the model is built, after the folder was claimed.
    assert "has no pretrained weights" in refusal(weights="imagenet")
    assert "belongs to a run of other settings" in refusal(weights="imagenet", steps=13)


def test_corrupt_image_is_named(refusal: Callable[..., str], data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(data, copy)
    victim = next((copy / "flat" / "hand").iterdir())
    victim.write_bytes(victim.read_bytes()[:100])
    sentence = refusal(data=copy)
    assert os.path.basename(victim) in sentence


def test_class_that_no_source_has_is_refused(
    refusal: Callable[..., str], data: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(data, copy)
    shutil.copytree(copy / "line" / "hand", copy / "line" / "claw")
    assert "claw" in refusal(data=copy, target_domains="line")


def test_weights_of_another_architecture_are_refused(
    refusal: Callable[..., str], tmp_path: Path
) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    save_file({"conv1.weight": np.zeros((3, 3), np.float32)}, tmp_path / "other.safetensors")
    sentence = refusal(backbone="resnet18", weights=tmp_path / "other.safetensors", image_size=32)
    assert "another architecture" in sentence
