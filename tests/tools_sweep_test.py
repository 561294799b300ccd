"""The real program: planned, killed, gone on with, refused; its bits are those of tools.train."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from qtdog_tf.data import split_domains, split_fingerprint
from qtdog_tf.data.folders import read_folder
from qtdog_tf.locks import hold
from tests.programs import REPOSITORY, assert_refused, run_program
from tests.small_data import TINY_RUN, make_small_data
from tools._run_digest import run_digests

SECONDS = 240
# As many as without a sweep: bits depend on it.
THREADS = len(os.sched_getaffinity(0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data and two experiments that share a folder: single runs, and an ensemble with them."""
    folder = tmp_path_factory.mktemp("sweep")
    make_small_data(folder / "data")
    common = {**TINY_RUN, "data": folder / "data", "target_domains": "line", "output": "a/small"}
    for name, own in {
        "erm": {"variants": "erm"},
        "pair": {"variants": "erm", "members": 2},
    }.items():
        lines = [f"--{flag}={value}\n" for flag, value in {**common, **own}.items()]
        (folder / f"{name}.flags").write_text(f"# {name}\n" + "".join(lines))
    return folder


def arguments(folder: Path, **more: object) -> dict[str, object]:
    experiments = folder / "erm.flags"
    given = {"experiments": experiments, "check_data": False, "threads": THREADS, "workers": 2}
    return {**given, "output": folder / "out", **more}


def wait_for(found: Callable[[], object]) -> None:
    end = time.monotonic() + SECONDS
    while not found():
        assert time.monotonic() < end
        time.sleep(0.01)


def workers_of(process: subprocess.Popen[bytes]) -> list[int]:
    children = Path(f"/proc/{process.pid}/task").glob("*/children")
    return [int(pid) for path in children for pid in path.read_text().split()]


@pytest.fixture(scope="module")
def swept(folder: Path) -> Path:
    """The folder of a sweep that was killed in the middle, first its worker, then itself."""
    given = [f"--{name}={value}" for name, value in arguments(folder).items()]
    command = [sys.executable, "-m", "tools.sweep", *given]
    out, log = folder / "out", folder / "killed.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=file, stderr=file)
    wait_for(lambda: list(out.glob("small/*/float/checkpoints/*.npz")))
    os.kill(workers_of(process)[0], signal.SIGKILL)
    wait_for(lambda: "begun again: ended by SIGKILL" in log.read_text())
    process.kill()
    process.wait()
    assert not list(out.glob("small/*/*/summary.json")), "killed too late to show anything"
    done = run_program("sweep", **arguments(folder))
    assert done.returncode == 0, done.stderr
    (folder / "table.txt").write_text(done.stdout)
    return out


def test_a_killed_sweep_ends_with_the_bits_of_tools_train(folder: Path, swept: Path) -> None:
    flagfile, trained = f"--flagfile={folder / 'erm.flags'}", folder / "trained"
    # Started anew, as the sweep starts its workers: graph optimization moves the last bits.
    done = run_program("train", flagfile, env={}, output=trained, check_data=False)
    assert done.returncode == 0, done.stderr
    expected, found = run_digests(trained), run_digests(swept / "small")
    assert len(expected) > 10 and found == expected
    table = (folder / "table.txt").read_text()
    assert table.startswith("group and variant") and table.endswith(done.stdout)


def test_again_nothing_is_done_and_the_table_is_the_same(folder: Path, swept: Path) -> None:
    before = (swept / "sweep.json").read_bytes()
    done = run_program("sweep", **arguments(folder))
    assert done.stdout == (folder / "table.txt").read_text()
    assert (swept / "sweep.json").read_bytes() == before
    (task,) = json.loads(before)["tasks"].values()
    assert task["command"].endswith(f"--output={swept / 'small'}") and task["state"] == "finished"


def test_an_ensemble_of_runs_that_are_there_is_made(folder: Path, swept: Path) -> None:
    # The second member is the first one, as if it had been trained on another split.
    first, second = (swept / "small" / f"line-trial{seed}" / "erm" for seed in (0, 1))
    splits = split_domains(read_folder(folder / "data"), 1, 0.2)
    shutil.copytree(first, second)
    for name in ("run.json", "summary.json"):
        values = json.loads((second / name).read_text())
        changed = {"trial_seed": 1, "split": split_fingerprint(splits)}
        (second / name).write_text(json.dumps({**values, **changed}))
    done = run_program("sweep", **arguments(folder, experiments=folder / "pair.flags"))
    shutil.rmtree(second.parent)
    assert done.returncode == 0, done.stderr
    tasks = json.loads((swept / "sweep.json").read_text())["tasks"]
    assert set(tasks) == {"small/line-trial0", "small/line-ensemble0/erm"}
    assert "ensemble, logits" in done.stdout


def test_the_plan_says_what_is_broken_and_how_long_it_takes(folder: Path, swept: Path) -> None:
    model = swept / "small" / "line-trial0" / "erm" / "selected.keras"
    contents = model.read_bytes()
    model.write_bytes(contents[:-1000])
    done = run_program("sweep", "--plan", probe_steps=2, **arguments(folder))
    model.write_bytes(contents)
    assert done.returncode == 0, done.stderr
    row = next(line for line in done.stdout.splitlines() if line.startswith("small")).split()
    # Trials, runs, ensembles; finished, begun, missing, broken; the float phase is there.
    assert row[1:8] == ["1", "1", "0", "0", "0", "0", "1"]
    assert int(row[8]) == TINY_RUN["steps"] - TINY_RUN["quantize_step"]
    speed = json.loads((swept / "probe.json").read_text())["small"]["speed"]
    assert 0 < speed["step"] < 60 and 0 < speed["image"] < 60 and speed["startup"] > 1
    assert "With 2 workers: about 0.0" in done.stdout


def test_what_does_not_belong_to_this_sweep_is_refused(folder: Path, swept: Path) -> None:
    def refused(sentence: str, **values: object) -> None:
        assert_refused(run_program("sweep", **arguments(folder, **values)), sentence)

    refused(f"(asked / there: threads: 7 / {THREADS})", threads=7)
    refused("belongs to a run of other settings", steps=13)
    refused("holds other files and no sweep.json", output=swept / "small")
    refused("there is no domain 'mars'", output=folder / "new", target_domains="mars")
    assert not (folder / "new").exists()
    with hold(swept, "swept"):
        refused(f"is being swept by process {os.getpid()} on ")


def test_the_committed_study_is_that_of_the_committed_flags() -> None:
    study = json.loads((REPOSITORY / "tools" / "results" / "kill_sweep.json").read_text())
    flags = (REPOSITORY / "configs" / "kill_sweep.flags").read_text().splitlines()
    assert f"--experiments={','.join(study['experiments'])}" in flags
    assert f"--workers={study['workers']}" in flags
    assert len(study["kills"]) >= 12 and len({kill["killed"] for kill in study["kills"]}) == 4
    assert study["identical"] == len(study["rounds"]) > 1 and study["files_compared"] > 20
    assert all(not one["differing"] and one["exit code"] == 0 for one in study["rounds"])
