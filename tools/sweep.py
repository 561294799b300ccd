r"""Trains many experiments: data set x target domain x trial seed x method x member x bits.

  What there would be to do, and how long it would take:
    python -m tools.sweep --output=runs/sweep --workers=2 --trial_seeds=0,1,2 --plan \
        --experiments=configs/pacs_resnet50_erm.flags,configs/pacs_resnet50_qtdog.flags

  To do it: the same without --plan. Whatever ended it, the same command goes on.

  The same on a Ray cluster, whose nodes have this repository and the data at the same paths, with
  results in a store that they all reach:
    python -m tools.sweep --engine=ray --ray_address=head:6379 --gpus_per_run=1 \
        --output=s3://bucket/sweep --experiments=...

An experiment is a flagfile of tools.train. Every flag of tools.train that is given here applies to
all of them. Runs go to <output>/<group>/ in the layout of tools.train, so all programs take them;
a group is what the flagfile calls its --output, and experiments of one group share what they have
in common: float phases, and members of ensembles. --algorithms and --hparams_seeds add groups.

All of it may stand in one file: --flagfile=configs/<sweep>.flags. Exit code 1: some runs failed.
"""

import functools
import os
import re
import sys
from pathlib import Path

import tensorflow as tf
from absl import flags

from qtdog_tf.data import open_domains
from qtdog_tf.errors import UserError
from qtdog_tf.runs import is_claimed
from qtdog_tf.sweep.commands import Workplace
from qtdog_tf.sweep.engine import Engine
from qtdog_tf.sweep.experiment import expand
from qtdog_tf.sweep.hparams import draw_hparams
from qtdog_tf.sweep.local_engine import LocalEngine, leave_gpus_to_workers
from qtdog_tf.sweep.mirror import Mirror
from qtdog_tf.sweep.needs import teacher_task
from qtdog_tf.sweep.plan import make_plan
from qtdog_tf.sweep.ray_cluster import RaySettings
from qtdog_tf.sweep.ray_engine import RayEngine
from qtdog_tf.sweep.record import RECORD, claim_sweep, recorded_threads
from qtdog_tf.sweep.settings import RAY, SweepSettings
from qtdog_tf.sweep.shared_folder import SharedFolder, is_url
from qtdog_tf.sweep.speeds import known_speeds, measure_speed
from qtdog_tf.sweep.sweep import Sweep
from qtdog_tf.sweep.tables import failures, outcome_tables, plan_table, state_table
from tools._experiments import SETTINGS, given_settings, read_experiments
from tools._flags import define_flags, settings_from_flags
from tools._main import refuse_arguments, run_tool

FLAGS = flags.FLAGS
define_flags(*SETTINGS, SweepSettings, RaySettings)
flags.DEFINE_string(
    "output",
    None,
    "Folder of the sweep; one folder of runs a group is made in it. For engine ray: one that all "
    "nodes see, or a path of fsspec, s3://bucket/folder for example.",
    required=True,
)
flags.DEFINE_string(
    "mirror",
    "",
    "Folder on this machine for the small files of an output that is a path of fsspec. Default: "
    "runs/<that path, with dashes>.",
)
flags.DEFINE_bool("plan", False, "Print what there is to do, and how long it takes; then stop.")


def main(argv: list[str]) -> None:
    """Prints the plan, or carries it out and prints what came of it."""
    refuse_arguments(argv)
    leave_gpus_to_workers()
    settings = settings_from_flags(SweepSettings)
    output, mirror = open_output(settings)
    experiments = expand(
        read_experiments(settings.experiments, FLAGS, output),
        settings.algorithms,
        settings.draws,
        functools.partial(draw_hparams, search=settings.hparams_search),
        given_settings(FLAGS),
    )
    plan = make_plan(experiments, output, functools.cache(open_domains))
    if mirror and any(teacher_task(plan, trial) for trial in plan.trials):
        raise UserError(
            "a student's teacher that the sweep makes must be where every worker can read it: give "
            f"--output a folder that all nodes see instead of {FLAGS.output}"
        )
    workplace = Workplace(output, choose_threads(output, settings), Path.cwd())
    is_claimed(output, RECORD, {"threads": workplace.threads})
    sweep = Sweep(plan, workplace)
    if FLAGS.plan:
        sweep.look()
        print_plan(sweep, settings)
        return
    speeds = known_speeds(plan.groups, workplace)
    runner = sweep.run(lambda: make_engine(settings, mirror), speeds, settings.retries)
    if runner.signal_number:
        print("the state is saved: the same command goes on from here", file=sys.stderr)
        sys.exit(128 + runner.signal_number)
    print(state_table(plan, sweep.states))
    tables = outcome_tables(plan, sweep.states)
    if tables:
        print(f"\n{tables}")
    if runner.failed:
        print(f"\n{failures(runner.failed, runner.blocked)}")
        sys.exit(1)


def open_output(settings: SweepSettings) -> tuple[Path, Mirror | None]:
    """The folder of the sweep on this machine, and the mirror that it is of another place, if any.

    Raises:
        UserError: if that place cannot be reached, or the engine does not write there.
    """
    if not is_url(FLAGS.output):
        return Path(FLAGS.output), None
    if settings.engine != RAY:
        raise UserError(
            f"output {FLAGS.output} is no folder of this machine: add --engine=ray, or choose one"
        )
    folder = Path(FLAGS.mirror or f"runs/{re.sub(r'[^A-Za-z0-9]+', '-', FLAGS.output).strip('-')}")
    mirror = Mirror(SharedFolder(FLAGS.output), folder)
    mirror.bring()
    return folder, mirror


def make_engine(settings: SweepSettings, mirror: Mirror | None) -> Engine:
    """The engine that --engine names."""
    if settings.engine == RAY:
        return RayEngine(settings_from_flags(RaySettings), mirror)
    return LocalEngine(settings.workers, len(tf.config.list_physical_devices("GPU")))


def print_plan(sweep: Sweep, settings: SweepSettings) -> None:
    """Prints the plan, after it has measured once the speed of each group with missing runs."""
    workplace = sweep.workplace
    speeds = known_speeds(sweep.plan.groups, workplace)
    claim_sweep(workplace.output, workplace.threads)
    gpus = tf.config.list_physical_devices("GPU")
    # Runs on GPUs of their own hardly slow each other.
    at_once = 1 if gpus or settings.engine == RAY else settings.workers
    for trial in sweep.plan.trials:
        known = trial.group.name in speeds or not sweep.is_missing(trial)
        if not known and sweep.can_begin(trial):
            print(f"measuring {trial.group.name}", file=sys.stderr, flush=True)
            speeds[trial.group.name] = measure_speed(
                trial, settings.probe_steps, workplace, at_once
            )
    print(plan_table(sweep.plan, sweep.states, speeds, settings.workers))


def choose_threads(output: Path, settings: SweepSettings) -> int:
    """The threads of each run: as they were in this folder, or its share of the processor."""
    share = max(1, len(os.sched_getaffinity(0)) // settings.workers)
    if settings.engine == RAY:
        share = settings_from_flags(RaySettings).cpus_per_run
    return settings.threads or recorded_threads(output) or share


if __name__ == "__main__":
    run_tool(main, resumes=True)
