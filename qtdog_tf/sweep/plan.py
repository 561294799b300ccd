"""What a sweep has to do: trials of runs, and ensembles of them. Start from `make_plan`."""

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path

from qtdog_tf.algorithms import AlgorithmSettings
from qtdog_tf.data.domains import DomainSet
from qtdog_tf.errors import UserError
from qtdog_tf.settings import difference
from qtdog_tf.sweep.experiment import Experiment
from qtdog_tf.training.members import PlannedEnsemble, member_seeds, plan_ensembles
from qtdog_tf.training.roles import Roles, plan_roles
from qtdog_tf.training.run_settings import RunSettings
from qtdog_tf.training.settings import TrainSettings
from qtdog_tf.training.trial import trial_folder
from qtdog_tf.training.variants import Variant, parse_variants

LOGS, BROKEN, ATTEMPTS = "logs", "broken", "attempts"
_OWN_FOLDERS = (LOGS, BROKEN, ATTEMPTS)


@dataclasses.dataclass(frozen=True, eq=False)
class Group:
    """Runs of one choice of settings, which share a folder as those of tools.train do.

    Attributes:
        name: of its folder.
        folder: `<output of the sweep>/<name>`.
        settings: of its runs.
        algorithm: the training method.
        run_settings: how its runs are carried out.
        data: the data.
        check_data: whether an experiment wants every image opened first.
    """

    name: str
    folder: Path
    settings: TrainSettings
    algorithm: AlgorithmSettings
    run_settings: RunSettings
    data: DomainSet
    check_data: bool


@dataclasses.dataclass(frozen=True, eq=False)
class TrialRuns:
    """The runs of one group, choice of targets and trial seed, from one float phase.

    Attributes:
        group: their group.
        roles: sources and targets.
        trial_seed: of the split.
        variants: one run each.
    """

    group: Group
    roles: Roles
    trial_seed: int
    variants: tuple[Variant, ...]

    @property
    def folder(self) -> Path:
        """The folder of the trial."""
        return trial_folder(self.group.folder, self.roles, self.trial_seed)

    @property
    def name(self) -> str:
        """Unique in the sweep, `<group>/<targets>-trial<k>`."""
        return f"{self.group.name}/{self.folder.name}"

    @property
    def folders(self) -> list[Path]:
        """The folders of its runs."""
        return [self.folder / variant.name for variant in self.variants]

    @property
    def steps(self) -> int:
        """Updates in all: one float phase, then each variant's own part."""
        settings = self.group.settings
        tail = settings.steps - settings.quantize_step
        return settings.quantize_step + tail * len(self.variants)


@dataclasses.dataclass(frozen=True, eq=False)
class EnsembleRun:
    """An ensemble of runs of the plan.

    Attributes:
        group: of its members.
        planned: which members.
    """

    group: Group
    planned: PlannedEnsemble

    @property
    def folder(self) -> Path:
        """The folder of the ensemble."""
        return self.planned.folder(self.group.folder)

    @property
    def name(self) -> str:
        """Unique in the sweep, `<group>/<targets>-ensemble<t>/<variant>`."""
        return f"{self.group.name}/{self.folder.parent.name}/{self.folder.name}"

    @property
    def members(self) -> list[Path]:
        """The folders of its members."""
        return self.planned.member_folders(self.group.folder)

    @property
    def after(self) -> list[str]:
        """The names of the trials that its members are runs of."""
        return [f"{self.group.name}/{folder.parent.name}" for folder in self.members]


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """All that there is to do, in the order of the experiments.

    Attributes:
        groups: with at least one trial each.
        trials: each once, however many experiments want it.
        ensembles: each once.
    """

    groups: tuple[Group, ...]
    trials: tuple[TrialRuns, ...]
    ensembles: tuple[EnsembleRun, ...]


def make_plan(
    experiments: Iterable[Experiment], output: Path, open_data: Callable[[str], DomainSet]
) -> Plan:
    """Puts together what experiments have in common.

    Args:
        experiments: in the order in which they are to be done.
        output: folder of the sweep.
        open_data: opens a data set.

    Returns:
        The plan: experiments of one group that want the same trial share it, and it has the
        variants of all of them.

    Raises:
        UserError: if experiments of one group differ in what decides the outcome of a run, or in
            how runs are carried out; or one asks for domains or variants that there are not.
    """
    groups: dict[str, tuple[Group, str]] = {}
    trials: dict[str, TrialRuns] = {}
    ensembles: dict[str, EnsembleRun] = {}
    for experiment in experiments:
        group = _group(experiment, output, open_data, groups)
        wanted = experiment.wanted
        variants = parse_variants(wanted.variants)
        roles = plan_roles(group.data.names, wanted.target_domains, wanted.source_domains)
        for seed in member_seeds(wanted.seeds, wanted.members):
            for role in roles:
                _add(trials, TrialRuns(group, role, seed, variants))
        for planned in plan_ensembles(roles, wanted.seeds, wanted.members, variants):
            _add_ensemble(ensembles, EnsembleRun(group, planned))
    return Plan(
        tuple(group for group, _ in groups.values()),
        tuple(trials.values()),
        tuple(ensembles.values()),
    )


def _group(
    experiment: Experiment,
    output: Path,
    open_data: Callable[[str], DomainSet],
    groups: dict[str, tuple[Group, str]],
) -> Group:
    if experiment.group in _OWN_FOLDERS or not experiment.group:
        raise UserError(
            f"experiment {experiment.name} would use the folder {experiment.group!r}, which the "
            "sweep needs for itself: give it another --output"
        )
    if experiment.group not in groups:
        group = Group(
            experiment.group,
            output / experiment.group,
            experiment.settings,
            experiment.algorithm,
            experiment.run_settings,
            open_data(experiment.settings.data),
            experiment.wanted.check_data,
        )
        groups[experiment.group] = group, experiment.name
        return group
    group, first = groups[experiment.group]
    mine = vars(experiment.settings) | vars(experiment.algorithm) | vars(experiment.run_settings)
    others = vars(group.settings) | vars(group.algorithm) | vars(group.run_settings)
    differing = difference(mine, others)
    if differing:
        raise UserError(
            f"experiments {experiment.name} and {first} share the folder {group.name} but differ "
            f"({'; '.join(differing[:4])}): give one of them another --output"
        )
    return group


def _add(trials: dict[str, TrialRuns], new: TrialRuns) -> None:
    known = trials.setdefault(new.name, new)
    if known.roles != new.roles:
        raise UserError(
            f"{new.name} would be trained on {','.join(new.roles.sources)} and on "
            f"{','.join(known.roles.sources)}: give one experiment another --output"
        )
    variants = tuple(dict.fromkeys((*known.variants, *new.variants)))
    trials[new.name] = dataclasses.replace(known, variants=variants)


def _add_ensemble(ensembles: dict[str, EnsembleRun], new: EnsembleRun) -> None:
    known = ensembles.setdefault(new.name, new)
    if known.planned != new.planned:
        raise UserError(
            f"{new.name} would have {new.planned.members} members and {known.planned.members}: "
            "give one experiment another --output"
        )
