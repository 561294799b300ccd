"""A real Ray cluster of a head and two nodes, one of which is killed in the middle."""

import importlib.util
import sys
from pathlib import Path

import pytest

from qtdog_tf.errors import UserError
from qtdog_tf.sweep.mirror import Mirror
from qtdog_tf.sweep.ray_cluster import RaySettings
from qtdog_tf.sweep.ray_engine import RayEngine
from qtdog_tf.sweep.record import SweepRecord
from qtdog_tf.sweep.runner import Runner
from qtdog_tf.sweep.shared_folder import SharedFolder
from qtdog_tf.sweep.task import Task
from tests.programs import REPOSITORY, assert_refused, run_program
from tools._ray_cluster import local_cluster

HAS_RAY = importlib.util.find_spec("ray") is not None
STEPS = 20


def task(trial: str, seconds: float) -> Task:
    flags = ("--output=out/g", f"--trial={trial}", f"--steps={STEPS}", f"--seconds={seconds}")
    return Task(f"g/{trial}", ("tests.remote_program", *flags), str(REPOSITORY), "/out/log")


@pytest.mark.skipif(not HAS_RAY, reason="needs Ray: python -m pip install '.[cluster]'")
def test_a_node_is_lost_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shared = SharedFolder(f"file://{tmp_path}/shared")
    mirror = Mirror(shared, Path("out"))
    tasks = [task("a-trial0", 0.5), task("b-trial0", 0.5), task("c-trial0", 0.0)]
    places: list[str] = []
    with local_cluster(nodes=2) as cluster:
        engine = RayEngine(RaySettings(ray_address=cluster.address), mirror)
        with pytest.raises(UserError, match=r"no node of the Ray cluster has 64 CPUs and 0 GPUs"):
            RayEngine(RaySettings(ray_address=cluster.address, cpus_per_run=64), mirror)

        def is_done(name: str) -> str:
            return "" if (mirror.folder / name / "erm" / "summary.json").exists() else "not there"

        def watch(at_work: object, failed: int) -> None:
            checkpoints = [name for name in shared.sizes("g") if "/step-" in name]
            if len({name.split("/")[1] for name in checkpoints}) == 2 and not places:
                places.extend(map(str, cluster.kill(cluster.nodes[0])))

        record = SweepRecord(Path("out"), threads=1)
        runner = Runner(tasks, {}, is_done, record, retries=1, watch=watch)
        runner.run(engine)
    assert places and not runner.failed
    attempts = sorted(entry["attempts"] for entry in record.tasks.values())
    assert attempts == [1, 1, 2]
    for name in ("a-trial0", "b-trial0", "c-trial0"):
        text = shared.read_text(f"g/{name}/erm/selected.keras")
        assert text.splitlines() == [f"step {n}" for n in range(STEPS)]
        assert not (mirror.folder / "g" / name / "erm" / "selected.keras").exists()
        log = (mirror.folder / "logs" / "g" / f"{name}.log").read_text()
        assert log.count("$ ") == record.tasks[f"g/{name}"]["attempts"]


def test_without_ray_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"not installed: python -m pip install '.\[cluster\]'"):
        RayEngine(RaySettings())


def test_an_output_elsewhere_needs_the_engine_that_writes_there() -> None:
    experiments = "configs/kill_sweep/erm.flags"
    done = run_program("sweep", experiments=experiments, output="memory://sweep")
    assert_refused(done, "output memory://sweep is no folder of this machine: add --engine=ray")
