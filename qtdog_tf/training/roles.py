"""Which domains are trained on and which are held out."""

import dataclasses
import itertools
from collections.abc import Sequence

from qtdog_tf.errors import UserError

ALL, NONE, PAIRS = "all", "none", "pairs"


@dataclasses.dataclass(frozen=True)
class Roles:
    """The domains of one run.

    Attributes:
        sources: domains trained on and validated on.
        targets: domains never trained on; may be empty.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]

    @property
    def name(self) -> str:
        """Names the run by what it holds out: "line", "flat+line", or "all_domains"."""
        return "+".join(self.targets) or "all_domains"


def plan_roles(
    names: Sequence[str], target_domains: Sequence[str], source_domains: Sequence[str] = ()
) -> list[Roles]:
    """The runs that a choice of target domains asks for.

    Args:
        names: every domain of the data.
        target_domains: ("all",): each domain in turn (leave one domain out). ("none",): no target,
            trains on every domain. ("pairs",): see `roles_for_cross_validation`. Otherwise the
            domains that one run holds out together.
        source_domains: the domains to train on. Default: all that are not targets.

    Returns:
        One `Roles` for each run, in the order of `names`.

    Raises:
        UserError: for a domain that does not exist (naming those that do), one that is both, or
            fewer than one source.
    """
    for name in (*source_domains, *target_domains):
        if name not in names and name not in (ALL, NONE, PAIRS):
            raise UserError(f"there is no domain {name!r}; the data has {', '.join(names)}")
    if not target_domains or (len(target_domains) > 1 and {ALL, NONE, PAIRS} & set(target_domains)):
        raise UserError("target_domains must be all, pairs, none, or names of domains")
    for listed in (source_domains, target_domains):
        if len(set(listed)) < len(listed):
            raise UserError(f"a domain is named twice in {','.join(listed)}")
    targets: list[tuple[str, ...]]
    if tuple(target_domains) == (ALL,):
        targets = _singles(names)
    elif tuple(target_domains) == (PAIRS,):
        targets = _singles_and_pairs(names)
    elif tuple(target_domains) == (NONE,):
        targets = [()]
    else:
        targets = [tuple(target_domains)]
    return [_roles(names, held_out, source_domains) for held_out in targets]


def roles_for_cross_validation(names: Sequence[str]) -> list[Roles]:
    """The runs that leave-one-domain-out cross-validation takes (method, section 6.2).

    A target is judged by runs that hold out the target and one more domain, on that other domain;
    what is reported is the run that holds out the target alone.

    Args:
        names: every domain of the data, three or more.

    Returns:
        n + n (n - 1) / 2 `Roles` for n domains: each domain alone, then each pair, in the order of
        `names`.

    Raises:
        UserError: if a pair leaves no source.
    """
    return plan_roles(names, (PAIRS,))


def _singles(names: Sequence[str]) -> list[tuple[str, ...]]:
    return [(name,) for name in names]


def _singles_and_pairs(names: Sequence[str]) -> list[tuple[str, ...]]:
    return [*_singles(names), *itertools.combinations(names, 2)]


def _roles(names: Sequence[str], targets: tuple[str, ...], sources: Sequence[str]) -> Roles:
    both = [name for name in sources if name in targets]
    if both:
        raise UserError(f"domain {both[0]!r} is both a source and a target: leave it out of one")
    chosen = tuple(sources) or tuple(name for name in names if name not in targets)
    if not chosen:
        raise UserError("no source domain is left: every domain is a target")
    return Roles(chosen, targets)
