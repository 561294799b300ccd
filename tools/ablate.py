r"""A table of the paper's ablations on the embedded data, beside the figures that the paper prints.

  Trains what the table needs, a few hours; whatever ended it, the same command goes on:
    python -m tools.ablate --table=bits

  One target and one split, for a first look:
    python -m tools.ablate --table=bits --quick

Tables: combinations, bits, quantizer, granularity, start_step, uniform_noise, in_domain, backbones.
Their runs are those of the flagfiles configs/ablations/*.flags, for each of --targets held out in
turn; --trial_seeds and every other flag of tools.train given here applies to all of them. Rows of
several tables that are the same run are trained once. A row whose pretrained weights are not there
is left out, and named.

Below the table stand the orderings of rows that the paper finds beyond its own standard errors, and
which of them hold here, by the mean over paired runs and its standard error. Exit code 1: some runs
failed.
"""

import dataclasses
import functools
import os
import sys
from pathlib import Path

import tensorflow as tf
from absl import flags

from qtdog_tf.ablations import TABLES, AblationTable, ablation_text, read_rows
from qtdog_tf.ablations.values import run_folder
from qtdog_tf.data import open_domains
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation import MODELS
from qtdog_tf.sweep.commands import Workplace
from qtdog_tf.sweep.experiment import Experiment
from qtdog_tf.sweep.local_engine import LocalEngine
from qtdog_tf.sweep.plan import TrialRuns, make_plan
from qtdog_tf.sweep.record import recorded_threads
from qtdog_tf.sweep.runner import Runner
from qtdog_tf.sweep.sweep import Sweep
from qtdog_tf.sweep.tables import failures
from qtdog_tf.sweep.task import run_task
from qtdog_tf.training.finish import SUMMARY
from tools._experiments import SETTINGS, given_settings, read_experiments
from tools._flags import define_flags
from tools._main import refuse_arguments, run_tool

CONFIGS = "configs/ablations"
_OF_A_TABLE = ("target_domains", "source_domains", "variants", "members")

FLAGS = flags.FLAGS
define_flags(*SETTINGS)
flags.DEFINE_enum("table", None, list(TABLES), "Which table.", required=True)
flags.DEFINE_string("output", "runs/ablations", "Folder for the runs of all tables.")
flags.DEFINE_list("targets", ["line", "render3d"], "Domains to hold out, each in turn.")
flags.DEFINE_bool("quick", False, "The first target and the first split only.")
flags.DEFINE_enum(
    "model",
    "selected",
    MODELS,
    "Which model of each run, where a row does not say: selected (weights as trained, the paper), "
    "selected_sma (their moving average), ...",
)
flags.DEFINE_integer("workers", 1, "Trainings at once.", lower_bound=1)


def main(argv: list[str]) -> None:
    """Trains what is missing and prints the table."""
    refuse_arguments(argv)
    wrong = [name for name in given_settings(FLAGS) if name in _OF_A_TABLE]
    if wrong:
        raise UserError(f"the table decides on {wrong[0]}: leave out --{wrong[0]}, see --targets")
    table, experiments = find_experiments(TABLES[FLAGS.table])
    output = Path(FLAGS.output)
    wanted = [each for experiment in experiments for each in per_target(experiment, table)]
    plan = make_plan(wanted, output, functools.cache(open_domains))
    threads = recorded_threads(output) or max(1, len(os.sched_getaffinity(0)) // FLAGS.workers)
    workplace = Workplace(output, threads, Path.cwd())
    sweep = Sweep(plan, workplace)
    gpus = len(tf.config.list_physical_devices("GPU"))
    runner = sweep.run(lambda: LocalEngine(FLAGS.workers, gpus), {}, retries=1)
    if runner.signal_number:
        print("the state is saved: the same command goes on from here", file=sys.stderr)
        sys.exit(128 + runner.signal_number)
    groups = {experiment.name: experiment.group for experiment in experiments}
    trials = {
        name: [trial for trial in plan.trials if trial.group.name == group]
        for name, group in groups.items()
    }
    quantize(table, trials, workplace)
    folders = {
        name: [((trial.roles.name, trial.trial_seed), trial.folder) for trial in of_experiment]
        for name, of_experiment in trials.items()
    }
    print(ablation_text(table, read_rows(table, folders, FLAGS.model)))
    end(runner)


def find_experiments(table: AblationTable) -> tuple[AblationTable, list[Experiment]]:
    """The experiments of a table, and the table without the rows whose weights are not there."""
    paths = [f"{CONFIGS}/{name}.flags" for name in table.experiments]
    experiments = read_experiments(paths, FLAGS)
    missing = {}
    for experiment in experiments:
        weights = experiment.settings.weights
        if weights not in ("imagenet", "none") and not Path(weights).exists():
            missing[experiment.name] = weights
            print(
                f"left out: {CONFIGS}/{experiment.name}.flags needs {weights}, which is not there",
                file=sys.stderr,
            )
    rows = tuple(row for row in table.rows if row.experiment not in missing)
    there = [experiment for experiment in experiments if experiment.name not in missing]
    return dataclasses.replace(table, rows=rows), there


def per_target(experiment: Experiment, table: AblationTable) -> list[Experiment]:
    """An experiment for each target held out in turn; for none, if the table holds none out."""
    wanted = experiment.wanted
    targets = [wanted.target_domains] if table.in_domain else [(name,) for name in FLAGS.targets]
    seeds = wanted.trial_seeds
    if not targets or len(set(targets)) < len(targets):
        raise UserError(f"--targets must be different domains; received {','.join(FLAGS.targets)}")
    if FLAGS.quick:
        targets, seeds = targets[:1], seeds[:1]
    return [
        dataclasses.replace(
            experiment,
            wanted=dataclasses.replace(wanted, target_domains=target, trial_seeds=seeds),
        )
        for target in targets
    ]


def quantize(
    table: AblationTable, trials: dict[str, list[TrialRuns]], workplace: Workplace
) -> None:
    """Quantizes float runs for the rows that are quantized after training.

    Raises:
        UserError: if that fails.
    """
    for row in table.rows:
        for trial in trials[row.experiment] if row.after_training else []:
            source = trial.folder / "erm"
            output = run_folder(trial.folder, row, FLAGS.model)
            if not (source / SUMMARY).exists() or (output / SUMMARY).exists():
                continue
            name = f"{trial.name}/{output.name}"
            print(f"quantizing {name}", file=sys.stderr, flush=True)
            method, bits = row.after_training or ("", 0)
            plan = {
                "run": source,
                "method": method,
                "bits": bits,
                "models": row.model or FLAGS.model,
                "output": output,
            }
            arguments = [f"--{flag}={value}" for flag, value in plan.items()]
            result = run_task(workplace.task(name, "tools.quantize_run", *arguments))
            if result.code:
                raise UserError(f"{name} failed: {result.error}")


def end(runner: Runner) -> None:
    """Says what failed, and exits accordingly."""
    if runner.failed:
        print(f"\n{failures(runner.failed, runner.blocked)}")
        sys.exit(1)


if __name__ == "__main__":
    run_tool(main, resumes=True)
