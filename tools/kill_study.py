"""Kills training at random moments, starts it again, and compares the bits that it ends with.

    python -m tools.kill_study --flagfile=configs/kill_study.flags --output=/tmp/kills

Takes every flag of tools.train; they say what is trained. It is trained once without a kill. Then,
--kills times, it is started, killed by SIGKILL, started again by the same command until it ends,
and every log and weight is compared. Every other kill is at a random time; the rest are shortly
after a random file was opened, renamed or removed in the output folder, which is when a careless
program would leave half of something. Needs Linux: it forks, to spare the import of TensorFlow.
"""

import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from absl import flags
from tqdm import tqdm

from qtdog_tf.errors import UserError
from qtdog_tf.files import write_json
from qtdog_tf.tables import format_table
from qtdog_tf.training.settings import TrainSettings
from tools import train
from tools._flags import settings_from_flags
from tools._kill_studies import define_study_flags, empty_folder
from tools._main import refuse_arguments, run_tool
from tools._run_digest import run_digests

FLAGS = flags.FLAGS
flags.DEFINE_integer("kills", 110, "How many runs to kill.", lower_bound=1)
define_study_flags()

_EVENTS = ("open", "os.rename", "os.remove", "os.truncate", "os.mkdir", "os.rmdir")
# A file of this run is written within this time after it was opened.
_LONGEST_DELAY = 0.02
_FORK = multiprocessing.get_context("fork")


def main(argv: list[str]) -> None:
    """Trains once, kills and compares, and prints how many ended with the same bits."""
    refuse_arguments(argv)
    work = empty_folder(FLAGS.output)
    chance = random.Random(FLAGS.kill_seed)
    events, began = _FORK.Value("i", 0), time.monotonic()
    if _train(work / "straight", events) != 0:
        raise UserError(f"training without a kill failed, see {work / 'straight.log'}")
    seconds = time.monotonic() - began
    expected = run_digests(work / "straight")
    kills = []
    for number in tqdm(range(FLAGS.kills), desc="kills", unit="kill"):
        moment = chance.uniform(0, seconds) if number % 2 else chance.randrange(1, events.value + 1)
        delay = chance.uniform(0, _LONGEST_DELAY)
        kills.append(_kill_and_resume(work / f"kill-{number}", moment, delay, expected))
    _report(kills, len(expected), events.value, seconds)


def _kill_and_resume(
    folder: Path, moment: float | int, delay: float, expected: dict[str, str]
) -> dict[str, object]:
    """Trains in `folder`, killed once; moment is an event's number if it is an int, else a time."""
    by_event = isinstance(moment, int)
    code = _train(folder, None, moment, delay)
    reached = _reached(folder)
    resumed = _train(folder)
    found = run_digests(folder)
    differing = sorted(
        name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)
    )
    if resumed == 0 and not differing:
        shutil.rmtree(folder)
    return {
        "at": f"event {moment}" if by_event else f"{moment:.2f} s",
        "killed": code == -signal.SIGKILL,
        "reached": reached,
        "ended": resumed == 0,
        "differing": differing,
    }


def _train(
    folder: Path,
    count: "multiprocessing.sharedctypes.Synchronized[int] | None" = None,
    moment: float | int | None = None,
    delay: float = 0.0,
) -> int:
    """Runs tools.train in a process of its own; returns its exit code."""
    process = _FORK.Process(target=_child, args=(folder, count, moment, delay))
    process.start()
    process.join()
    return process.exitcode or 0


def _child(folder: Path, count: "object", moment: float | int | None, delay: float) -> None:
    log = os.open(f"{folder}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, sys.stdout.fileno())
    os.dup2(log, sys.stderr.fileno())
    FLAGS["output"].value = str(folder)
    if isinstance(moment, float):
        _kill_after(moment)
    else:
        sys.addaudithook(_Watch(str(folder), count, moment, delay))
    train.main(["train"])


class _Watch:
    """Counts what happens to files in a folder; kills this process shortly after one event."""

    def __init__(self, folder: str, count: object, moment: int | None, delay: float) -> None:
        self.folder, self.count, self.moment, self.delay = folder, count, moment, delay
        self.seen = 0

    def __call__(self, event: str, arguments: tuple) -> None:
        if event not in _EVENTS or not str(arguments[0]).startswith(self.folder):
            return
        self.seen += 1
        if self.count is not None:
            self.count.value = self.seen  # type: ignore[attr-defined]
        if self.seen == self.moment:
            _kill_after(self.delay)


def _kill_after(seconds: float) -> None:
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL))
    timer.daemon = True
    timer.start()


def _reached(folder: Path) -> str:
    """How far a killed run had got, by what is on the disk."""
    phases = [path.parent for path in folder.glob("*/*/checkpoints")]
    names = sorted(path.name for path in folder.glob("*/*/") if path.is_dir())
    if not phases and not names:
        return "before the first checkpoint"
    unfinished = [phase for phase in phases if phase.name != "float"]
    if unfinished:
        saving = any(unfinished[0].glob("*.keras"))
        return f"{unfinished[0].name}, saving models" if saving else unfinished[0].name
    variants = [name for name in names if name != "float"]
    return f"between phases, {variants[-1]}" if variants else "float phase"


def _report(kills: list[dict], compared: int, events: int, seconds: float) -> None:
    reached = Counter(str(kill["reached"]) for kill in kills)
    same = Counter(str(k["reached"]) for k in kills if k["ended"] and not k["differing"])
    rows = [[place, str(n), str(same[place])] for place, n in sorted(reached.items())]
    rows.append(["all", str(len(kills)), str(sum(same.values()))])
    print(format_table(["where the kill came", "runs", "same bits after resume"], rows))
    print(
        f"{compared} files compared a run; killed before its end: "
        f"{sum(bool(k['killed']) for k in kills)} of {len(kills)}"
    )
    if FLAGS.report:
        plain = {
            "kills": len(kills),
            "killed_before_the_end": sum(bool(k["killed"]) for k in kills),
            "identical": sum(same.values()),
            "files_compared": compared,
            "file_events": events,
            "seconds_uninterrupted": round(seconds, 1),
            "reached": dict(sorted(reached.items())),
            "differing": [kill for kill in kills if not kill["ended"] or kill["differing"]],
            "flags": json.loads(json.dumps(vars(settings_from_flags(TrainSettings)))),
        }
        write_json(Path(FLAGS.report), plain)
    if sum(same.values()) < len(kills):
        sys.exit(1)


if __name__ == "__main__":
    run_tool(main)
