r"""A table of the paper's ablations on the embedded data, beside the figures that the paper prints.

  Trains what the table needs, a few hours; whatever ended it, the same command goes on:
    python -m tools.ablate --table=bits

  One target and one split, for a first look:
    python -m tools.ablate --table=bits --quick

  What is there, without training anything:
    python -m tools.ablate --table=bits --train=none

Tables: combinations, bits, quantizer, granularity, start_step, uniform_noise, in_domain, backbones;
comparison: rows of all of them, averages of weights, ensembles and distillation beside each other.
Their runs are those of the flagfiles configs/ablations/*.flags, for each of --targets held out in
turn; --trial_seeds and every other flag of tools.train given here applies to all of them. Rows of
several tables that are the same run are trained once. A row whose pretrained weights are not there
is named and not trained; the paper's figure of it is printed all the same.

Below the table stand the orderings of rows that the paper finds beyond its own standard errors, and
which of them hold here, by the mean over paired runs and its standard error. Exit code 1: some runs
failed.
"""

import dataclasses
import functools
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
from absl import flags

from qtdog_tf.ablations import TABLES, AblationRow, AblationTable, ablation_text, read_rows
from qtdog_tf.data import open_domains
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation import MODELS
from qtdog_tf.statistics import Pair
from qtdog_tf.sweep.commands import Workplace
from qtdog_tf.sweep.experiment import Experiment
from qtdog_tf.sweep.local_engine import LocalEngine, leave_gpus_to_workers
from qtdog_tf.sweep.plan import Plan, make_plan
from qtdog_tf.sweep.record import recorded_threads
from qtdog_tf.sweep.runner import Runner
from qtdog_tf.sweep.sweep import Sweep
from qtdog_tf.sweep.tables import failures
from tools._derived_runs import derive
from tools._experiments import SETTINGS, given_settings, read_experiments
from tools._flags import define_flags
from tools._main import refuse_arguments, run_tool

CONFIGS = "configs/ablations"
Folders = dict[str, list[tuple[Pair, Path]]]
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
flags.DEFINE_list(
    "train",
    ["all"],
    "Of which flagfiles to train what is missing: all; none, which prints what is there; or names, "
    "bits for example.",
)


def main(argv: list[str]) -> None:
    """Trains what is missing and prints the table."""
    refuse_arguments(argv)
    leave_gpus_to_workers()
    table = TABLES[FLAGS.table]
    refuse_settings(table)
    experiments, without_weights = find_experiments(table)
    output = Path(FLAGS.output)
    wanted = [each for experiment in experiments for each in per_target(experiment, table)]
    chosen = [name for name in to_train(table) if name not in without_weights]
    open_data = functools.cache(open_domains)
    plan = make_plan([each for each in wanted if each.name in chosen], output, open_data)
    folders = folders_of(make_plan(wanted, output, open_data), wanted)
    runner = None
    if chosen:
        rows = [row for row in table.rows if row.experiment in chosen]
        runner = train(rows, plan, folders, output)
    print(ablation_text(table, read_rows(table, folders, FLAGS.model)))
    if runner and runner.failed:
        print(f"\n{failures(runner.failed, runner.blocked)}")
        sys.exit(1)


def refuse_settings(table: AblationTable) -> None:
    """Refuses flags that would make rows something else than their labels say."""
    for name in given_settings(FLAGS):
        if name in _OF_A_TABLE:
            raise UserError(f"the table decides on {name}: leave out --{name}, see --targets")
        if name in table.fixed:
            raise UserError(
                f"the rows of table {table.name} differ by {name}, which can therefore not be "
                f"given for all of them: leave out --{name}"
            )


def to_train(table: AblationTable) -> tuple[str, ...]:
    """The experiments that --train names."""
    names = tuple(FLAGS.train)
    known = {"all": table.experiments, "none": ()}
    if len(names) == 1 and names[0] in known:
        return known[names[0]]
    if not names or set(names) - set(table.experiments):
        raise UserError(
            f"train must be all, none, or of {', '.join(table.experiments)}; received "
            f"{','.join(names)!r}"
        )
    return names


def train(rows: Sequence[AblationRow], plan: Plan, folders: Folders, output: Path) -> Runner:
    """Does what is missing, or as much as can be done."""
    threads = recorded_threads(output) or max(1, len(os.sched_getaffinity(0)) // FLAGS.workers)
    workplace = Workplace(output, threads, Path.cwd())
    gpus = len(tf.config.list_physical_devices("GPU"))
    sweep = Sweep(plan, workplace)
    runner = sweep.run(lambda: LocalEngine(FLAGS.workers, gpus), {}, retries=1)
    if runner.signal_number:
        print("the state is saved: the same command goes on from here", file=sys.stderr)
        sys.exit(128 + runner.signal_number)
    for row in rows:
        for _, folder in folders[row.experiment]:
            derive(row, folder, workplace, FLAGS.model)
    return runner


def folders_of(plan: Plan, experiments: Sequence[Experiment]) -> Folders:
    """The trials of each experiment by its name; of one with members the ensembles."""
    found: Folders = {}
    for each in experiments:
        seeds = each.wanted.seeds
        trials = [t for t in plan.trials if t.group.name == each.group and t.trial_seed in seeds]
        pools = [e for e in plan.ensembles if e.group.name == each.group]
        found[each.name] = (
            [((t.roles.name, t.trial_seed), t.folder) for t in trials]
            if each.wanted.members == 1
            else [((e.planned.roles.name, e.planned.trial_seed), e.folder.parent) for e in pools]
        )
    return found


def find_experiments(table: AblationTable) -> tuple[list[Experiment], list[str]]:
    """The experiments of a table, and the names of those whose weights are not there."""
    paths = [f"{CONFIGS}/{name}.flags" for name in table.experiments]
    experiments = read_experiments(paths, FLAGS, Path(FLAGS.output))
    missing = []
    for experiment in experiments:
        weights = experiment.settings.weights
        if weights not in ("imagenet", "none") and not Path(weights).exists():
            missing.append(experiment.name)
            print(
                f"not trained: {CONFIGS}/{experiment.name}.flags needs {weights}, which is not "
                "there",
                file=sys.stderr,
            )
    return experiments, missing


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


if __name__ == "__main__":
    run_tool(main, resumes=True)
