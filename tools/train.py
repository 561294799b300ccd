r"""Trains on source domains, quantizes from step K on, tests on domains never seen.

  One held-out domain, the paper's method beside plain ERM:
    python -m tools.train --data=photos --target_domains=night --variants=erm,qtdog7 --output=runs/a

  Leave each domain out in turn, three splits:
    python -m tools.train --data=photos --target_domains=all --trial_seeds=0,1,2 --output=runs/b

  The product, trained on every domain:
    python -m tools.train --data=photos --target_domains=none --output=runs/c

  The product as an ensemble of five, each trained on a split of its own, in one .keras file:
    python -m tools.train --data=photos --target_domains=none --members=5 --output=runs/d

  One quantized model that learns what that ensemble says, of a member's size and cost:
    python -m tools.train --data=photos --target_domains=none --output=runs/e \
        --algorithm=distill --teacher=runs/d/all_domains-ensemble0/qtdog7

The same command goes on with what an interrupted one left, and prints the table of what is
finished. Settings may stand in a file: --flagfile=configs/quickstart.flags.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from absl import flags

from qtdog_tf.algorithms import AlgorithmSettings
from qtdog_tf.data import open_domains
from qtdog_tf.data.domains import DomainSet
from qtdog_tf.evaluation import make_ensemble, open_run
from qtdog_tf.evaluation.outcome import outcome
from qtdog_tf.evaluation.teacher import open_teacher
from qtdog_tf.export.capability import backbone_warning
from qtdog_tf.runs import claim_runs
from qtdog_tf.training.interruption import Interrupted
from qtdog_tf.training.members import PlannedEnsemble, member_seeds, plan_ensembles
from qtdog_tf.training.plan_settings import PlanSettings
from qtdog_tf.training.preflight import check_roles
from qtdog_tf.training.progress import PhaseProgress
from qtdog_tf.training.roles import Roles, plan_roles
from qtdog_tf.training.run_settings import RunSettings
from qtdog_tf.training.settings import TrainSettings
from qtdog_tf.training.strategy import check_strategy, open_strategy
from qtdog_tf.training.tables import Summary
from qtdog_tf.training.teacher import Teacher
from qtdog_tf.training.trial import Trial, is_finished, trial_folder
from qtdog_tf.training.variants import Variant, parse_variants
from tools._flags import define_flags, settings_from_flags
from tools._main import refuse_arguments, run_tool

NOT_SELECTED = (
    "the teacher's members were together trained on nearly all validation images, which so cannot "
    "choose a step: the last step counts"
)

FLAGS = flags.FLAGS
define_flags(TrainSettings, AlgorithmSettings, RunSettings, PlanSettings)
flags.DEFINE_string("output", None, "Folder for the runs; made if it is not there.", required=True)


def main(argv: list[str]) -> None:
    """Trains what is missing and prints the table."""
    refuse_arguments(argv)
    settings = settings_from_flags(TrainSettings)
    algorithm = settings_from_flags(AlgorithmSettings)
    run_settings = settings_from_flags(RunSettings)
    run_settings.check_with(settings.steps_per_execution)
    strategy = open_strategy(run_settings)
    check_strategy(strategy, settings, algorithm)
    wanted = settings_from_flags(PlanSettings)
    variants = parse_variants(wanted.variants)
    domain_set = open_domains(settings.data)
    roles = plan_roles(domain_set.names, wanted.target_domains, wanted.source_domains)
    output = Path(FLAGS.output)
    teachers = open_teachers(algorithm, domain_set, roles, settings.image_size)
    ensembles = plan_ensembles(roles, wanted.seeds, wanted.members, variants)
    seeds = member_seeds(wanted.seeds, wanted.members)
    plan = [(role, seed) for seed in seeds for role in roles]
    missing = {
        (role, seed): [v for v in variants if not is_finished(trial_folder(output, role, seed), v)]
        for role, seed in plan
    }
    for ensemble in ensembles:
        ensemble.check_folder(output)
    if any(missing.values()):
        look_before(settings, wanted, variants, domain_set, roles)
    claim_runs(output, settings, algorithm)
    progress = PhaseProgress(steps_of(settings, len(variants)) * len(plan))
    summaries: list[Summary] = []
    for role, seed in plan:
        progress.skip(finished_steps(settings, len(variants), len(missing[role, seed])))
        trial = Trial(
            settings,
            domain_set,
            role,
            seed,
            output,
            progress,
            run_settings,
            algorithm,
            teachers.get(role),
            strategy,
        )
        summaries += run_trial(trial, variants, bool(missing[role, seed]))
    print(f"results of {len(summaries)} runs are in {output}", file=sys.stderr)
    print(outcome(summaries))
    if ensembles:
        averaged = [average_members(ensemble, output) for ensemble in ensembles]
        print("\n" + outcome([], averaged))


def open_teachers(
    algorithm: AlgorithmSettings, domain_set: DomainSet, roles: Sequence[Roles], image_size: int
) -> dict[Roles, Teacher]:
    """The teacher of each choice of targets; none, if the algorithm has no teacher."""
    if not algorithm.teacher:
        return {}
    run, model = algorithm.teacher, algorithm.teacher_model
    return {role: open_teacher(run, model, domain_set, role, image_size) for role in roles}


def look_before(
    settings: TrainSettings,
    wanted: PlanSettings,
    variants: Sequence[Variant],
    domain_set: DomainSet,
    roles: Sequence[Roles],
) -> None:
    """Looks at network and data before there is training, and says what a person should know.

    Raises:
        UserError: if the data cannot be trained on.
    """
    if any(variant.quantized for variant in variants):
        warn(backbone_warning(settings.backbone, settings.image_size, settings.quantize_dense))
    if wanted.check_data:
        report = check_roles(domain_set, roles)
        for warning in report.warnings:
            warn(warning)
        report.raise_errors()


def run_trial(trial: Trial, variants: Sequence[Variant], trains: bool) -> list[Summary]:
    """Trains what is missing of a trial; returns the summary of every variant."""
    if trains:
        print(trial.data.cache_plan, file=sys.stderr)
        if trial.data.validation.last_only:
            warn(f"{trial.folder.name}: {NOT_SELECTED}")
    try:
        return trial.run(variants)
    except Interrupted as stopped:
        stop(stopped)


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
