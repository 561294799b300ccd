"""Chooses the images to evaluate a run on, in the class numbering of the run.

Two things must not go wrong unnoticed: images whose class the run does not know are skipped and
counted, and images that the run was trained on are told from those that it was not. Start from
`choose_images`.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from qtdog_tf.data.domains import Domain, DomainSet
from qtdog_tf.data.splits import Split
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation.run_folder import Run
from qtdog_tf.records import IN, OUT, SOURCE, TARGET

UNSEEN, ALL = "unseen", "all"
PARTS = (UNSEEN, ALL, IN, OUT)

# Roles of a domain beside "source" and "target": it was not part of the training data; or it was
# not, but has the name of a source, so that its images may well have been.
NEW, MAYBE_SOURCE = "new", "source?"


@dataclasses.dataclass(frozen=True, eq=False)
class Images:
    """Images of one domain to evaluate a run on.

    Attributes:
        domain: the images alone, labelled with the run's classes.
        role: "source", "target", "new" or "source?" (not the run's data, but a source's name).
        part: "all", "in" or "out" of the domain.
        unknown: images skipped by name of their class, which the run does not know.
    """

    domain: Domain
    role: str
    part: str
    unknown: Mapping[str, int]


def choose_images(
    run: Run, domain_set: DomainSet, domains: Sequence[str] = (), part: str = UNSEEN
) -> list[Images]:
    """The images of a data set to evaluate a run on.

    Args:
        run: the run; its data may be another.
        domain_set: the data. Its classes may be fewer, more or others than the run's.
        domains: names of the domains; default all of them, in order.
        part: "unseen": the images that the run was not trained on, so the held-out part of its
            source domains and all of any other domain. "all": every image. "in" and "out": the
            80 % and 20 % parts of the run's split, which only the run's own data has. What an
            ensemble was not trained on is what none of its members was.

    Returns:
        One for each domain; one without a known class, or of which an ensemble has seen every
        image, has no images.

    Raises:
        UserError: for a domain that does not exist, a part that the data does not have, or if
            there is no image left: none of the classes is known to the run, or an ensemble has
            seen them all.
    """
    names = _check_names(domain_set, domains)
    is_own = run.owns(domain_set)
    if part in (IN, OUT) and not is_own:
        raise UserError(
            f"--part={part} is a part of the run's own data, and {domain_set.name} is not what run "
            f"{run.path} was trained on: evaluate it with --part=all"
        )
    needs_splits = part in (IN, OUT) or (part == UNSEEN and is_own)
    splits = run.splits(domain_set) if needs_splits else {}
    chosen = []
    for name in names:
        role = _role(run, name, is_own)
        taken = part
        if part == UNSEEN:
            taken = OUT if role == SOURCE else ALL
        chosen.append(_images(run, domain_set, name, role, taken, splits))
    if not any(len(images.domain) for images in chosen):
        raise UserError(_why_none(run, domain_set, chosen))
    return chosen


def refuse_unknown(chosen: Sequence[Images]) -> None:
    """Refuses images of classes that the run does not know.

    Raises:
        UserError: if there are any, naming the classes.
    """
    classes = sorted({name for images in chosen for name in images.unknown})
    if classes:
        count = sum(sum(images.unknown.values()) for images in chosen)
        raise UserError(
            f"{count} images are of classes that the run does not know ({', '.join(classes)}); "
            "without --strict they are skipped and counted"
        )


def _check_names(domain_set: DomainSet, domains: Sequence[str]) -> list[str]:
    if len(set(domains)) < len(domains):
        raise UserError(f"a domain is named twice in {','.join(domains)}")
    return [domain_set.domain(name).name for name in domains or domain_set.names]


def _why_none(run: Run, domain_set: DomainSet, chosen: Sequence[Images]) -> str:
    if any(images.unknown for images in chosen):
        return (
            f"{domain_set.name} has no image of a class that run {run.path} knows: the run knows "
            f"{', '.join(run.classes)}; the data has {', '.join(domain_set.classes)}"
        )
    return (
        f"no image of {', '.join(images.domain.name for images in chosen)} is left to test "
        f"{run.path} on: its members have different splits and were together trained on every "
        "one; evaluate other data, or all images with --part=all"
    )


def _role(run: Run, name: str, is_own: bool) -> str:
    if not is_own:
        return MAYBE_SOURCE if name in run.sources else NEW
    if name in run.sources:
        return SOURCE
    return TARGET if name in run.targets else NEW


def _images(
    run: Run,
    domain_set: DomainSet,
    name: str,
    role: str,
    part: str,
    splits: Mapping[str, Split],
) -> Images:
    domain = domain_set.domain(name)
    indices = np.arange(len(domain))
    if part != ALL:
        # In the order of the listing, whatever the shuffling of the split.
        indices = np.sort(splits[name].in_ if part == IN else splits[name].out)
    numbers = np.array(
        [run.classes.index(c) if c in run.classes else -1 for c in domain_set.classes], np.int32
    )
    is_known = numbers[domain.labels[indices]] >= 0
    known, skipped = indices[is_known], indices[~is_known]
    unknown = Counter(domain_set.classes[label] for label in domain.labels[skipped])
    return Images(
        domain=Domain(name, domain.paths.take(known), numbers[domain.labels[known]]),
        role=role,
        part=part,
        unknown=dict(sorted(unknown.items())),
    )
