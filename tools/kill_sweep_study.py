"""Kills sweeps and their workers at random moments, goes on, and compares what they end with.

    python -m tools.kill_sweep_study --flagfile=configs/kill_sweep.flags --output=/tmp/kills

Takes every flag of tools.sweep; they say what is swept. It is swept once without a kill. Then, in
rounds, it is started, killed by SIGKILL, started again by the same command, killed again, until
one comes to its end; the tables that it prints, every log and every weight are compared. Kills come
in turn: of the sweep at a random time; of a worker at a random time, which the sweep has to notice;
of the sweep while it writes its record. Every fourth time the sweep is asked to stop by SIGTERM.
Needs Linux: it forks, to spare the import of TensorFlow.
"""

import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from absl import flags

from qtdog_tf.errors import UserError
from qtdog_tf.files import write_json
from qtdog_tf.sweep.record import RECORD
from qtdog_tf.tables import format_table
from tools import sweep
from tools._kill_studies import define_study_flags, empty_folder
from tools._main import refuse_arguments, run_tool
from tools._run_digest import run_digests

FLAGS = flags.FLAGS
flags.DEFINE_integer("kills", 18, "How many kills.", lower_bound=1)
define_study_flags()

SWEEP, WORKER, RECORDING = "the sweep", "a worker", "the sweep, writing its record"
ASKED = "the sweep, by SIGTERM"
_KINDS = (SWEEP, WORKER, RECORDING, ASKED)
_STOPPED = 128 + signal.SIGTERM
_POLL_SECONDS = 0.005
_FORK = multiprocessing.get_context("fork")


def main(argv: list[str]) -> None:
    """Sweeps once, kills and compares, and prints how many rounds ended the same."""
    refuse_arguments(argv)
    work = empty_folder(FLAGS.output)
    began = time.monotonic()
    process = _start(work / "straight")
    process.join()
    if process.exitcode:
        raise UserError(f"the sweep without a kill failed, see {work / 'straight.log'}")
    study = _Study(work, time.monotonic() - began, random.Random(FLAGS.kill_seed))
    rounds: list[dict[str, object]] = []
    while len(study.kills) < FLAGS.kills:
        rounds.append(study.round(len(rounds)))
        print(rounds[-1], file=sys.stderr, flush=True)
    # A sweep that ended before its kill shows nothing.
    _report(study, [one for one in rounds if one["kills"]])


class _Study:
    """Rounds of a sweep that is killed again and again.

    Args:
        work: folder of all rounds; "straight" in it is the sweep without a kill.
        seconds: that it took.
        chance: chooses the moments.
    """

    def __init__(self, work: Path, seconds: float, chance: random.Random) -> None:
        self.work, self.seconds, self.chance = work, seconds, chance
        self.expected = _outcome(work / "straight")
        self.kills: list[dict[str, object]] = []

    def round(self, number: int) -> dict[str, object]:
        """One sweep from nothing to its end, with as many kills on the way as come in time."""
        folder = self.work / f"round-{number}"
        before, code, starts = len(self.kills), -1, 0
        while code < 0 or code == _STOPPED:
            code = self._session(folder, number)
            starts += 1
        found = _outcome(folder)
        names = sorted(self.expected.keys() | found.keys())
        differing = [name for name in names if self.expected.get(name) != found.get(name)]
        if code == 0 and not differing:
            shutil.rmtree(folder)
        return {
            "round": number,
            "starts": starts,
            "kills": len(self.kills) - before,
            "exit code": code,
            "differing": differing,
        }

    def _session(self, folder: Path, number: int) -> int:
        """Starts the sweep and kills until that ends it, or it ends by itself; its exit code."""
        process = _start(folder)
        while process.is_alive() and len(self.kills) < FLAGS.kills:
            kind = _KINDS[len(self.kills) % len(_KINDS)]
            moment = self.chance.uniform(0, self.seconds)
            if not self._wait(process, folder, kind, moment):
                break
            pids = [process.pid] if kind != WORKER else _children(process.pid or 0)
            if not pids:
                continue
            chosen = signal.SIGTERM if kind == ASKED else signal.SIGKILL
            os.kill(self.chance.choice(pids) or 0, chosen)
            if kind != WORKER:
                process.join()
            when = {} if kind == RECORDING else {"after": round(moment, 1)}
            reached = _reached(folder)
            self.kills.append({"round": number, "killed": kind, "reached": reached, **when})
        process.join()
        return process.exitcode or 0

    def _wait(
        self, process: multiprocessing.process.BaseProcess, folder: Path, kind: str, moment: float
    ) -> bool:
        """Waits for the moment; whether the sweep has not ended before."""
        end = time.monotonic() + moment
        record = folder / RECORD
        seen = _changed(record)
        while process.is_alive():
            if kind == RECORDING:
                # The file of a record that is being written, or has just been.
                if any(folder.glob(".writing-*")) or _changed(record) != seen:
                    return True
            elif time.monotonic() >= end:
                return True
            time.sleep(_POLL_SECONDS)
        return False


def _start(folder: Path) -> multiprocessing.process.BaseProcess:
    process = _FORK.Process(target=_child, args=(folder,))
    process.start()
    return process


def _child(folder: Path) -> None:
    # What the last one prints is the table.
    output = os.open(f"{folder}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    log = os.open(f"{folder}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, sys.stdout.fileno())
    os.dup2(log, sys.stderr.fileno())
    FLAGS["output"].value = str(folder)
    try:
        sweep.main(["sweep"])
    finally:
        sys.stdout.flush()


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for path in found for child in path.read_text().split()]


def _changed(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def _reached(folder: Path) -> str:
    """How far a sweep had got, by what is on the disk."""
    finished = len(list(folder.glob("*/*/*/summary.json")))
    phases = [path.parent for path in folder.glob("*/*/*/checkpoints")]
    begun = sum(phase.name != "float" for phase in phases)
    floats = len(phases) - begun
    return f"{finished} finished, {begun} begun, {floats} float phases"


def _outcome(folder: Path) -> dict[str, str]:
    """The tables, and a digest of every file of runs that must repeat.

    Ensembles have the paths of their members in them, which differ from round to round.
    """
    found = {"tables": Path(f"{folder}.txt").read_text()}
    for group in (path for path in folder.iterdir() if (path / "settings.json").exists()):
        found |= {f"{group.name}/{name}": digest for name, digest in run_digests(group).items()}
        for path in group.glob("*-ensemble*/*/*.json"):
            text = path.read_text().replace(str(folder), "")
            found[f"{group.name}/{path.relative_to(group)}"] = text
    return {name: text for name, text in found.items() if not name.endswith("ensemble.json")}


def _report(study: _Study, rounds: list[dict[str, object]]) -> None:
    counts = Counter(str(kill["killed"]) for kill in study.kills)
    print(format_table(["killed", "times"], [[kind, str(counts[kind])] for kind in _KINDS]))
    same = sum(not one["differing"] and not one["exit code"] for one in rounds)
    print(
        f"{same} of {len(rounds)} sweeps that were killed so ended with the tables of one that was "
        f"not, and with the same {len(study.expected) - 1} files"
    )
    if FLAGS.report:
        plain = {
            "experiments": FLAGS.experiments,
            "workers": FLAGS.workers,
            "seconds_uninterrupted": round(study.seconds, 1),
            "files_compared": len(study.expected) - 1,
            "tables": study.expected["tables"].splitlines(),
            "kills": study.kills,
            "rounds": rounds,
            "identical": same,
        }
        write_json(Path(FLAGS.report), json.loads(json.dumps(plain)))
    if same < len(rounds):
        sys.exit(1)


if __name__ == "__main__":
    run_tool(main)
