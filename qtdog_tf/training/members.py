"""The members of an ensemble as trials: independent runs, each with a seed and split of its own.

The paper trains the five models of an EoQ from different seeds, on different splits (method,
section 4). A trial has both from its trial seed, so members are trials, and whatever holds for a
trial (it goes on after a crash, it is not done twice) holds for a member. Start from
`plan_ensembles`.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from qtdog_tf.errors import UserError
from qtdog_tf.files import read_json
from qtdog_tf.training.roles import Roles
from qtdog_tf.training.trial import trial_folder
from qtdog_tf.training.variants import Variant


@dataclasses.dataclass(frozen=True)
class PlannedEnsemble:
    """The runs of one trial and variant that are averaged.

    Attributes:
        roles: sources and targets of all of them.
        trial_seed: t, of the trial.
        members: M, how many there are; with 1 there is nothing to average.
        variant: of all of them.
    """

    roles: Roles
    trial_seed: int
    members: int
    variant: Variant

    @property
    def seeds(self) -> list[int]:
        """The trial seeds of the members: t * M, ..., t * M + M - 1."""
        return [self.trial_seed * self.members + member for member in range(self.members)]

    def folder(self, output: Path) -> Path:
        """The folder of the ensemble, `<output>/<targets>-ensemble<t>/<variant>`."""
        return Path(output) / f"{self.roles.name}-ensemble{self.trial_seed}" / self.variant.name

    def member_folders(self, output: Path) -> list[Path]:
        """The folders of the members."""
        return [trial_folder(output, self.roles, seed) / self.variant.name for seed in self.seeds]

    def check_folder(self, output: Path) -> None:
        """Refuses, before training begins, a folder that holds an ensemble of other members.

        Raises:
            UserError: if it does.
        """
        folder = self.folder(output)
        if not (folder / "run.json").exists():
            return
        there = [member["trial_seed"] for member in read_json(folder / "run.json")["members"]]
        if there != self.seeds:
            raise UserError(
                f"{folder} is the ensemble of trials {there}, not of {self.seeds}: choose another "
                f"output folder, or --members={len(there)}"
            )


def plan_ensembles(
    roles: Sequence[Roles], trial_seeds: Sequence[int], members: int, variants: Sequence[Variant]
) -> list[PlannedEnsemble]:
    """The ensembles that a choice of trials asks for, trial by trial; none of one member.

    Args:
        roles: one for each choice of targets.
        trial_seeds: the trials.
        members: runs of each.
        variants: what is trained.

    Raises:
        UserError: if trials have several members and so have variants.
    """
    if members == 1:
        return []
    forks = [variant.name for variant in variants if variant.member]
    if forks:
        raise UserError(
            f"with --members={members} each member is trained on a split of its own, but variant "
            f"{forks[0]!r} is another member on the same split: leave out one of the two"
        )
    return [
        PlannedEnsemble(role, seed, members, variant)
        for seed in trial_seeds
        for role in roles
        for variant in variants
    ]


def member_seeds(trial_seeds: Sequence[int], members: int) -> list[int]:
    """The trial seeds of all runs, trial by trial, see `PlannedEnsemble.seeds`."""
    return [seed * members + member for seed in trial_seeds for member in range(members)]
