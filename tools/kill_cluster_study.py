"""Kills a node of a cluster in the middle of a sweep: is the table the same as without?

    python -m tools.kill_cluster_study --flagfile=configs/kill_cluster.flags --output=/tmp/kills

Takes every flag of tools.sweep; they say what is swept. Begins a Ray cluster on this machine, a
head that runs no tasks and two nodes, and sweeps on it, with results in a folder that nodes reach
by fsspec only. Then the same again on a new cluster, one node of which is killed by SIGKILL, with
all that runs on it, when a checkpoint of one of its runs has arrived. Compares the tables, and the
bits of every log and model. Needs Linux and Ray: python -m pip install '.[cluster]'.
"""

import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from absl import flags

from qtdog_tf.errors import UserError
from qtdog_tf.files import read_json, write_json
from qtdog_tf.runs import versions
from qtdog_tf.sweep.record import RECORD
from qtdog_tf.sweep.shared_folder import SharedFolder
from tools import sweep  # noqa: F401  # its flags
from tools._kill_studies import define_study_flags, empty_folder
from tools._main import refuse_arguments, run_tool
from tools._ray_cluster import LocalCluster, local_cluster
from tools._run_digest import run_digests

FLAGS = flags.FLAGS
define_study_flags()
flags.DEFINE_integer("nodes", 2, "Nodes that run tasks, one run at a time each.", lower_bound=2)

_OWN = ("output", "mirror", "engine", "ray_address", "report", "nodes", "kill_seed", "flagfile")
_POLL_SECONDS = 0.2
# A checkpoint has arrived, and up to so much later the node is killed.
_LONGEST_DELAY = 5.0
Kill = dict[str, Any]


def main(argv: list[str]) -> None:
    """Sweeps twice, compares, and prints what was killed and whether the tables are equal."""
    refuse_arguments(argv)
    work = empty_folder(FLAGS.output)
    straight = _sweep(work, "straight", None)
    killed = _sweep(work, "killed", random.Random(FLAGS.kill_seed))
    digests = [run_digests(work / name) for name in ("straight", "killed")]
    names = sorted(digests[0].keys() | digests[1].keys())
    differing = [name for name in names if digests[0].get(name) != digests[1].get(name)]
    report = {
        "flags": _given(),
        "nodes": FLAGS.nodes,
        "kill": killed["kill"],
        "seconds": {"straight": straight["seconds"], "killed": killed["seconds"]},
        "attempts": {"straight": straight["attempts"], "killed": killed["attempts"]},
        "tables": {"straight": straight["table"], "killed": killed["table"]},
        "tables_equal": straight["table"] == killed["table"],
        "files_compared": len(names),
        "files_differing": differing,
        "versions": versions(),
    }
    if FLAGS.report:
        write_json(Path(FLAGS.report), report)
    print(killed["table"])
    print(f"killed: {killed['kill']}")
    print(f"attempts: {killed['attempts']}")
    print(f"tables equal: {report['tables_equal']}; files: {len(names)}, differing: {differing}")
    if not report["tables_equal"] or differing or not killed["kill"]:
        sys.exit(1)


def _sweep(work: Path, name: str, chance: random.Random | None) -> dict[str, Any]:
    """Runs tools.sweep on a cluster of its own; with `chance`, a node is killed on the way.

    The folder of results is the same each time, since ensembles name their members by it.
    """
    shared, mirror, began = work / "shared", work / "mirror", time.monotonic()
    kill: Kill = {}
    with local_cluster(FLAGS.nodes) as cluster, (work / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tools.sweep", "--engine=ray", *_given()),
                *(f"--ray_address={cluster.address}", f"--output=file://{shared.resolve()}"),
                f"--mirror={mirror}",
            ],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        while chance and not kill and process.poll() is None:
            time.sleep(_POLL_SECONDS)
            kill = _maybe_kill(cluster, shared, chance, began)
        table, _ = process.communicate()
    if process.returncode != 0:
        raise UserError(f"the sweep ended with code {process.returncode}, see {log.name}")
    tasks = read_json(mirror / RECORD)["tasks"]
    shared.rename(work / name)
    mirror.rename(work / f"{name}-mirror")
    return {
        "table": table,
        "kill": kill,
        "seconds": round(time.monotonic() - began, 1),
        "attempts": {name: entry["attempts"] for name, entry in tasks.items()},
    }


def _given() -> list[str]:
    """The flags of tools.sweep that this program was given."""
    return [FLAGS[name].serialize() for name in FLAGS if FLAGS[name].present and name not in _OWN]


def _maybe_kill(cluster: LocalCluster, shared: Path, chance: random.Random, began: float) -> Kill:
    """Kills a node on which a run is at work whose checkpoint has arrived, if there is one."""
    arrived = {
        "/".join(name.split("/")[:2])
        for name in SharedFolder(f"file://{shared.resolve()}").sizes()
        if "/checkpoints/step-" in name
    }
    for node in chance.sample(cluster.nodes, len(cluster.nodes)):
        if any(run in arrived for run in _runs_on(cluster, node)):
            time.sleep(chance.uniform(0, _LONGEST_DELAY))
            runs = _runs_on(cluster, node)
            if runs:
                seconds = round(time.monotonic() - began, 1)
                saved = sorted(
                    path.relative_to(shared).as_posix() for path in shared.rglob("step-*.npz")
                )
                pids = cluster.kill(node)
                return {
                    "node": node.node_id,
                    "processes": len(pids),
                    "after_seconds": seconds,
                    "runs_at_work_on_it": runs,
                    "checkpoints_that_had_arrived": saved,
                }
    return {}


def _runs_on(cluster: LocalCluster, node: Any) -> list[str]:
    """The trials that are trained on a node, as their commands name them."""
    found = []
    for pid in cluster.processes(node):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        given = dict(
            flag[2:].split("=", 1) for flag in command if flag.startswith("--") and "=" in flag
        )
        if "tools.train" in command:
            group = Path(given["output"]).name
            found.append(f"{group}/{given['target_domains']}-trial{given.get('trial_seeds', 0)}")
    return found


if __name__ == "__main__":
    run_tool(main)
