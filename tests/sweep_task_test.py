"""Tasks in processes of their own: how they end, what they say, and that none outlives its parent.

The programs here are a few lines each; those of training are in tools_sweep_test.py.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from qtdog_tf.environment import numeric_environment
from qtdog_tf.sweep.engine import Ended, Engine, Started
from qtdog_tf.sweep.local_engine import LocalEngine, accelerator_variables
from qtdog_tf.sweep.record import SweepRecord
from qtdog_tf.sweep.runner import Runner
from qtdog_tf.sweep.task import Task, run_task, thread_variables

SECONDS = 60
# Saves on SIGTERM like training, and says when it listens.
SAVER = """
import signal, sys, time
from pathlib import Path
def save(*_):
    Path("saved").touch()
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
Path("begun").touch()
time.sleep(60)
"""
PROGRAMS = {
    "good": "import os; print('threads', os.environ.get('TF_NUM_INTRAOP_THREADS'))",
    "user": "import sys; print('error: no such data', file=sys.stderr); sys.exit(2)",
    "crash": "import sys; print(sys.argv); raise ValueError('7 is\\nnot 8')",
    "killed": "import os; os.kill(os.getpid(), 9)",
    "second": """
import os, sys
from pathlib import Path
if not Path("tried").exists():
    Path("tried").touch()
    os.kill(os.getpid(), 9)
Path("done").touch()
""",
    "saver": SAVER,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in PROGRAMS.items():
        (tmp_path / f"{name}.py").write_text(text)
    return tmp_path


def task(folder: Path, program: str, *arguments: str, name: str = "", threads: int = 0) -> Task:
    name = name or program
    log = folder / "logs" / f"{name}.log"
    return Task(name, (program, *arguments), str(folder), str(log), threads)


def wait_for(path: Path) -> None:
    end = time.monotonic() + SECONDS
    while not path.exists():
        assert time.monotonic() < end, f"{path} does not appear"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("program", "code", "error"),
    [
        ("good", 0, ""),
        ("user", 2, "no such data"),
        ("crash", 1, "not 8"),
        ("killed", -signal.SIGKILL, "ended by SIGKILL"),
        ("absent", 1, "No module named absent"),
    ],
)
def test_how_a_task_ends(folder: Path, program: str, code: int, error: str) -> None:
    result = run_task(task(folder, program, "--flag=a b", threads=3))
    assert (result.name, result.code) == (program, code)
    assert error in result.error and bool(error) == bool(result.error)
    log = (folder / "logs" / f"{program}.log").read_text()
    assert log.startswith(f"$ TF_NUM_INTRAOP_THREADS=3 TF_NUM_INTEROP_THREADS=3 OMP_NUM_THREADS=3 "
                          f"python -m {program} '--flag=a b'\n")  # fmt: skip
    if program == "good":
        assert "threads 3" in log
    if program == "crash":
        assert str(["crash.py", "--flag=a b"])[2:] in log


def test_a_log_that_cannot_be_written_is_a_failure_not_an_exception(folder: Path) -> None:
    (folder / "logs").touch()
    result = run_task(task(folder, "good"))
    assert result.code == 1 and "logs" in result.error


def test_a_command_that_cannot_be_written_down_is_a_failure_too(folder: Path) -> None:
    engine: Engine = LocalEngine(1)
    engine.submit(task(folder, "good", "--target_domains=caf\udce9"))
    ended = None
    while not isinstance(ended, Ended):
        *_, ended = engine.events(SECONDS)
    engine.close()
    assert ended.result.code == 1
    assert "can't encode character" in ended.result.error


def test_variables_of_workers() -> None:
    assert thread_variables(0) == {}
    assert set(thread_variables(2).values()) == {"2"}
    assert accelerator_variables(5, 0) == {}
    assert accelerator_variables(5, 4)["CUDA_VISIBLE_DEVICES"] == "1"


def test_a_checkpoint_records_the_threads_of_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in thread_variables(3).items():
        monkeypatch.setenv(name, value)
    names = ("threads in an operator", "threads over operators")
    assert [numeric_environment()[name] for name in names] == ["3", "3"]


def test_a_stop_lets_the_process_save(folder: Path) -> None:
    asked = [0]
    results = []
    thread = threading.Thread(
        target=lambda: results.append(run_task(task(folder, "saver"), lambda: asked[0]))
    )
    thread.start()
    wait_for(folder / "begun")
    asked[0] = signal.SIGTERM
    thread.join(SECONDS)
    assert results[0].code == 128 + signal.SIGTERM and (folder / "saved").exists()


def test_a_killed_parent_lets_its_worker_save_and_the_next_one_waits_for_it(folder: Path) -> None:
    (folder / "saver.py").write_text(
        SAVER.replace("def save(*_):", "def save(*_):\n    time.sleep(1)")
    )
    parent = multiprocessing.get_context("forkserver").Process(
        target=run_task, args=(task(folder, "saver"),)
    )
    parent.start()
    wait_for(folder / "begun")
    parent.kill()
    parent.join()
    # The same task, which does not begin before the orphan has ended.
    (folder / "saver.py").write_text("from pathlib import Path\nprint(Path('saved').exists())")
    assert run_task(task(folder, "saver")).code == 0
    log = (folder / "logs" / "saver.log").read_text()
    assert "waiting: " in log and log.endswith("\nTrue\n")


def run(
    folder: Path, tasks: list[Task], after: Mapping[str, list[str]], retries: int = 1
) -> tuple[Runner, SweepRecord]:
    """Runs tasks of which "second" and "good" are done when they have ended well."""
    record = SweepRecord(folder / "sweep", 1)

    def is_done(name: str) -> str:
        log = folder / "logs" / f"{name}.log"
        good = name == "good" and "threads" in log.read_text()
        return (
            "" if good or ((folder / "done").exists() and name == "second") else "nothing is there"
        )

    runner = Runner(tasks, after, is_done, record, retries, lambda at_work, failed: None)
    runner.run(LocalEngine(2))
    return runner, SweepRecord(folder / "sweep", 1)


def test_what_is_killed_is_tried_again_and_what_fails_is_recorded(folder: Path) -> None:
    tasks = [task(folder, name) for name in ("user", "killed", "second", "good")]
    # "student" needs what needs what fails, and comes before it.
    tasks.insert(0, task(folder, "good", name="student"))
    tasks.append(task(folder, "good", name="claims"))
    after = {"good": ["second"], "claims": ["killed"], "student": ["claims"]}
    runner, record = run(folder, tasks, after)
    assert {name: result.code for name, result in runner.failed.items()} == {
        "user": 2,
        "killed": -9,
    }
    assert sorted(runner.blocked) == ["claims", "student"]
    assert record.tasks["user"]["error"] == "no such data"
    tried = {name: (entry["attempts"], entry["state"]) for name, entry in record.tasks.items()}
    assert tried == {
        "user": (1, "failed"),
        "killed": (2, "failed"),
        "second": (2, "finished"),
        "good": (1, "finished"),
    }
    assert record.tasks["good"]["command"] == "python -m good"


def test_a_task_that_ends_well_but_leaves_nothing_has_failed(folder: Path) -> None:
    runner, record = run(folder, [task(folder, "good", name="claims")], {}, retries=0)
    assert runner.failed["claims"].error == "ended well, but nothing is there"
    assert record.tasks["claims"]["state"] == "failed"


def test_a_signal_stops_all_and_nothing_else_begins(folder: Path) -> None:
    def signal_when_begun() -> None:
        wait_for(folder / "begun")
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=signal_when_begun).start()
    tasks = [task(folder, "saver"), *(task(folder, "saver", name=f"s{i}") for i in range(3))]
    runner, record = run(folder, tasks, {})
    assert runner.signal_number == signal.SIGTERM
    assert (folder / "saved").exists() and not runner.failed
    assert {entry["state"] for entry in record.tasks.values()} == {"stopped"}
    assert 1 <= len(record.tasks) <= 2
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_events_come_in_order(folder: Path) -> None:
    engine: Engine = LocalEngine(1)
    engine.submit(task(folder, "good"))
    engine.submit(task(folder, "user"))
    events = []
    while len(events) < 4:
        events += engine.events(1.0)
    engine.close()
    assert [type(event) for event in events] == [Started, Ended, Started, Ended]
    assert isinstance(events[0], Started) and events[0].where == "worker 0"
    assert isinstance(events[3], Ended) and events[3].result.code == 2
