"""probe.json: the speeds of a sweep's groups on this machine, each measured once."""

import dataclasses
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from qtdog_tf.environment import numeric_environment
from qtdog_tf.errors import UserError
from qtdog_tf.files import read_json, write_json
from qtdog_tf.sweep.commands import Workplace, probe_task
from qtdog_tf.sweep.plan import Group, TrialRuns
from qtdog_tf.sweep.probe import Speed
from qtdog_tf.sweep.task import run_task

PROBE = "probe.json"


def known_speeds(groups: Iterable[Group], workplace: Workplace) -> dict[str, Speed]:
    """The speeds that were measured under the same settings on the same machine, by group.

    Raises:
        UserError: if probe.json is damaged.
    """
    entries = _entries(workplace)
    return {
        group.name: Speed(**entries[group.name]["speed"])
        for group in groups
        if entries.get(group.name, {}).get("conditions") == _conditions(group, workplace)
    }


def measure_speed(trial: TrialRuns, steps: int, workplace: Workplace, workers: int = 1) -> Speed:
    """Measures the speed of a trial's group in processes of their own, and keeps it.

    Args:
        trial: of the group.
        steps: that are timed.
        workplace: of the sweep.
        workers: how many do it at once, since runs that share a machine slow each other.

    Returns:
        The means over them.

    Raises:
        UserError: if that fails, with what the process said.
    """
    with ThreadPoolExecutor(workers) as pool:
        probes = [pool.submit(_probe, trial, steps, workplace, k) for k in range(workers)]
        found = [dataclasses.astuple(probe.result()) for probe in probes]
    speed = Speed(*(sum(values) / workers for values in zip(*found, strict=True)))
    entry = {"conditions": _conditions(trial.group, workplace), "speed": vars(speed)}
    write_json(workplace.output / PROBE, _entries(workplace) | {trial.group.name: entry})
    return speed


def _probe(trial: TrialRuns, steps: int, workplace: Workplace, number: int) -> Speed:
    report = workplace.output / f"{PROBE}.new{number}"
    task = probe_task(trial, steps, report, workplace, number)
    result = run_task(task)
    if result.code:
        raise UserError(
            f"the probe of {trial.group.name} failed: {result.error}; its output is in {task.log}"
        )
    found = Speed(**read_json(report))
    report.unlink()
    timed = steps * trial.group.settings.steps_per_execution * found.step
    return dataclasses.replace(found, startup=max(0.0, result.seconds - timed))


def _entries(workplace: Workplace) -> dict[str, Any]:
    path = workplace.output / PROBE
    return read_json(path) if path.exists() else {}


def _conditions(group: Group, workplace: Workplace) -> dict[str, Any]:
    conditions = {
        "settings": {**vars(group.settings), **vars(group.algorithm)},
        "threads": workplace.threads,
        "environment": numeric_environment(),
    }
    return json.loads(json.dumps(conditions))
