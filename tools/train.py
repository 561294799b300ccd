"""Trains on source domains, quantizes from step K on, tests on domains never seen.

  One held-out domain, the paper's method beside plain ERM:
    python -m tools.train --data=photos --target_domains=night --variants=erm,qtdog7 --output=runs/a

  Leave each domain out in turn, three splits:
    python -m tools.train --data=photos --target_domains=all --trial_seeds=0,1,2 --output=runs/b

  The product, trained on every domain:
    python -m tools.train --data=photos --target_domains=none --output=runs/c

  The product as an ensemble of five, each trained on a split of its own, in one .keras file:
    python -m tools.train --data=photos --target_domains=none --members=5 --output=runs/d

The same command goes on with what an interrupted one left, and prints the table of what is
finished. Settings may stand in a file: --flagfile=configs/quickstart.flags.
"""

import sys
from pathlib import Path
from typing import NoReturn

from absl import flags

from qtdog_tf.algorithms import AlgorithmSettings
from qtdog_tf.data import open_domains
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation import ensemble_table, make_ensemble, open_run
from qtdog_tf.export.capability import backbone_warning
from qtdog_tf.runs import claim_folder, versions
from qtdog_tf.training.interruption import Interrupted
from qtdog_tf.training.members import PlannedEnsemble, member_seeds, plan_ensembles
from qtdog_tf.training.preflight import check_roles
from qtdog_tf.training.progress import PhaseProgress
from qtdog_tf.training.roles import plan_roles
from qtdog_tf.training.run_settings import RunSettings
from qtdog_tf.training.settings import TrainSettings
from qtdog_tf.training.tables import SELECTED_SMA, Summary, run_table, trial_table
from qtdog_tf.training.trial import Trial, is_finished, trial_folder
from qtdog_tf.training.variants import parse_variants
from tools._flags import define_flags, settings_from_flags
from tools._main import refuse_arguments, run_tool

FLAGS = flags.FLAGS
define_flags(TrainSettings, AlgorithmSettings, RunSettings)
flags.DEFINE_string("output", None, "Folder for the runs; made if it is not there.", required=True)
flags.DEFINE_list(
    "target_domains",
    "all",
    "Domains to hold out together; or all: each in turn; or none: train on every domain.",
)
flags.DEFINE_list("source_domains", "", "Domains to train on. Default: all that are no target.")
flags.DEFINE_list("trial_seeds", "0", "Splits to train with, one run each (paper: 0,1,2).")
flags.DEFINE_integer(
    "members",
    1,
    "Runs of each trial, averaged in an ensemble (paper: 5), each with its own seed and split: "
    "member m of M of trial t is the trial t*M+m.",
    lower_bound=1,
)
flags.DEFINE_list(
    "variants",
    "qtdog7",
    "What happens from quantize_step on, several from one float phase: erm, qtdog<bits>, "
    "frozen<bits> (released code), frozen_float (control), inq<bits> (powers of two, portion by "
    "portion), noise<bits> (uniform noise of the size of the rounding error on float weights), "
    "uniform<a> (noise in [-a, a), the paper's control, for example uniform1e-4); with _m1, _m2, "
    "... behind it on other batches, for tools.ensemble.",
)
flags.DEFINE_bool(
    "check_data", True, "Open every image before training; see also python -m tools.check_data."
)


def main(argv: list[str]) -> None:
    """Trains what is missing and prints the table."""
    refuse_arguments(argv)
    settings = settings_from_flags(TrainSettings)
    algorithm = settings_from_flags(AlgorithmSettings)
    run_settings = settings_from_flags(RunSettings)
    variants = parse_variants(tuple(FLAGS.variants))
    trial_seeds = parse_trial_seeds(FLAGS.trial_seeds)
    domain_set = open_domains(settings.data)
    roles = plan_roles(domain_set.names, FLAGS.target_domains, FLAGS.source_domains)
    output = Path(FLAGS.output)
    ensembles = plan_ensembles(roles, trial_seeds, FLAGS.members, variants)
    seeds = member_seeds(trial_seeds, FLAGS.members)
    plan = [(role, seed) for seed in seeds for role in roles]
    missing = {
        (role, seed): [v for v in variants if not is_finished(trial_folder(output, role, seed), v)]
        for role, seed in plan
    }
    for ensemble in ensembles:
        ensemble.check_folder(output)
    if any(missing.values()) and any(variant.quantized for variant in variants):
        warn(backbone_warning(settings.backbone, settings.image_size))
    if FLAGS.check_data and any(missing.values()):
        report = check_roles(domain_set, roles)
        for warning in report.warnings:
            warn(warning)
        report.raise_errors()
    identity = {**vars(settings), **vars(algorithm)}
    defaults = {**vars(TrainSettings()), **vars(AlgorithmSettings())}
    claim_folder(output, "settings.json", identity, defaults, versions=versions())
    progress = PhaseProgress(steps_of(settings, len(variants)) * len(plan))
    summaries: list[dict] = []
    for role, seed in plan:
        progress.skip(finished_steps(settings, len(variants), len(missing[role, seed])))
        trial = Trial(settings, domain_set, role, seed, output, progress, run_settings, algorithm)
        if missing[role, seed]:
            print(trial.cache_plan, file=sys.stderr)
        try:
            summaries += trial.run(variants)
        except Interrupted as stopped:
            stop(stopped)
    print(f"results of {len(summaries)} runs are in {output}", file=sys.stderr)
    print(run_table(summaries))
    if len(plan) > 1 and roles[0].targets:
        print(f"\nTarget accuracy in %, {SELECTED_SMA}, mean and standard error over trials")
        print(trial_table(summaries, SELECTED_SMA))
    if ensembles:
        print_ensembles([average_members(ensemble, output) for ensemble in ensembles])


def stop(stopped: Interrupted) -> NoReturn:
    """Says that the work is saved, and exits as a program does that the signal has ended."""
    print("the state is saved: the same command goes on from here", file=sys.stderr)
    sys.exit(128 + stopped.signal_number)


def warn(sentence: str | None) -> None:
    """Prints a warning on stderr, if there is one."""
    if sentence is not None:
        print(f"warning: {sentence}", file=sys.stderr)


def average_members(ensemble: PlannedEnsemble, output: Path) -> Summary:
    """Makes an ensemble of its trained members, if it is not there yet; returns its summary."""
    runs = [open_run(folder) for folder in ensemble.member_folders(output)]
    return make_ensemble(runs, ensemble.folder(output))


def print_ensembles(summaries: list[Summary]) -> None:
    """Prints each ensemble beside its members, and means over trials."""
    print("\nEnsembles of the moving averages that source validation selects")
    print(ensemble_table(summaries))
    if len(summaries) > 1 and summaries[0]["targets"]:
        print("\nAccuracy of the ensembles in % on all of the target, means over trials")
        print(trial_table(summaries, SELECTED_SMA, "target_all"))


def parse_trial_seeds(texts: list[str]) -> list[int]:
    """The trial seeds as integers.

    Raises:
        UserError: if one is not a whole number of at least 0, or comes twice, or none is given.
    """
    for text in texts:
        if not text.strip().isdecimal():
            raise UserError(f"trial_seeds must be whole numbers such as 0,1,2; received {text!r}")
    seeds = [int(text) for text in texts]
    if not seeds or len(set(seeds)) < len(seeds):
        raise UserError(f"trial_seeds must be one or more different numbers; received {texts}")
    return seeds


def steps_of(settings: TrainSettings, variants: int) -> int:
    """Steps of a trial: one float phase, then each variant's own part."""
    tail = settings.steps - settings.quantize_step
    return settings.quantize_step + tail * variants


def finished_steps(settings: TrainSettings, variants: int, missing: int) -> int:
    """Steps of a trial that need not be done any more."""
    todo = steps_of(settings, missing) if missing else 0
    return steps_of(settings, variants) - todo


if __name__ == "__main__":
    run_tool(main, resumes=True)
