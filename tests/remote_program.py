"""A program that writes what training writes, for tests of tasks on other machines' disks.

    python -m tests.remote_program --output=<folder of a group> [--steps=6] [--crash_at=4]

It trains nothing: every step adds a line to a log and every second one a checkpoint, from which it
goes on. The result tells which steps every attempt did.
"""

import os
import sys
import time
from pathlib import Path


def main(output: str, trial: str, steps: str, seconds: str, crash_at: str) -> None:
    run = Path(output) / trial / "erm"
    saved = sorted((run / "checkpoints").glob("step-*.npz"))
    start = int(saved[-1].stem.removeprefix("step-")) if saved else 0
    (run / "checkpoints").mkdir(parents=True, exist_ok=True)
    log = run / "results.jsonl"
    lines = log.read_text().splitlines()[:start] if log.exists() else []
    for step in range(start, int(steps)):
        lines.append(f"step {step}")
        write(log, "\n".join(lines) + "\n")
        if step == int(crash_at) and not start:
            time.sleep(2.5)  # The last checkpoint is on its way.
            os._exit(1)
        if step % 2:
            write(run / "checkpoints" / f"step-{step + 1:06d}.npz", str(len(lines)))
        time.sleep(float(seconds))
    write(run / "selected.keras", "\n".join(lines))
    write(run / "run.json", f'{{"place": "{run}"}}\n')
    write(run / "summary.json", '{"rows": {}}\n')
    for path in (run / "checkpoints").iterdir():
        path.unlink()


def write(path: Path, text: str) -> None:
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").replace(path)


if __name__ == "__main__":
    given = dict(flag.removeprefix("--").split("=", 1) for flag in sys.argv[1:])
    defaults = {"steps": "6", "seconds": "0", "crash_at": "-1"}
    main(**{**defaults, **given})
