"""The rules of the integrity check: what counts as an error or a warning, and how it is said.

Each function takes what was found and yields sentences, none if all is well. `check_domains` in
`integrity.py` asks them in turn.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from qtdog_tf.data.domains import DomainSet
from qtdog_tf.data.folders import is_image_name
from qtdog_tf.data.image_check import ImageState

_NAMED = 3


def too_few(domains: Sequence[str], counts: np.ndarray) -> Iterator[str]:
    """Errors: fewer than two domains, or a domain without images."""
    if len(domains) < 2:
        yield f"there is only one domain, {domains[0]!r}; it takes at least two"
    for name, count in zip(domains, counts.sum(axis=0), strict=True):
        if count == 0:
            yield f"domain {name!r} has no images"


def empty_classes(domain_set: DomainSet) -> Iterator[str]:
    """Errors: classes without an image in any domain, those that are not checked included.

    A model would have an output for each, which nothing teaches. (Of a class that only domains have
    which are not checked `missing_classes` speaks: a run on some of the domains may want that.)
    """
    filled = {label for domain in domain_set.domains for label in np.unique(domain.labels).tolist()}
    for label, name in enumerate(domain_set.classes):
        if label not in filled:
            root = domain_set.root
            places = [Path(root, domain, name) for domain in domain_set.names] if root else []
            folders = [str(place) for place in places if place.is_dir()]
            remedy = f": fill or remove {_some(folders)}" if folders else ""
            yield f"class {name!r} has no image in any domain{remedy}"


def unknown_to_sources(
    sources: Sequence[str],
    targets: Sequence[str],
    domains: Sequence[str],
    classes: Sequence[str],
    counts: np.ndarray,
) -> Iterator[str]:
    """Errors: classes that a target has and no source."""
    in_sources = counts[:, [domains.index(name) for name in sources]].any(axis=1)
    for target in targets:
        unknown = (counts[:, domains.index(target)] > 0) & ~in_sources
        if unknown.any():
            yield (
                f"target domain {target!r} has classes that no source domain has: "
                f"{_some(_chosen(classes, unknown))}"
            )


def unreadable_images(states: Sequence[ImageState]) -> Iterator[str]:
    """Errors: images that cannot be read, with the reason."""
    if states:
        named = _some([f"{state.path} {state.problem}" for state in states])
        yield f"{_count(len(states), 'image')} cannot be read: {named}"


def missing_classes(
    domains: Sequence[str], classes: Sequence[str], counts: np.ndarray
) -> Iterator[str]:
    """Warnings: classes without images in some domain."""
    for name, column in zip(domains, counts.T, strict=True):
        absent = _chosen(classes, column == 0)
        if absent and column.any():
            yield f"domain {name!r} has no image of {_count(len(absent), 'class')}: {_some(absent)}"


def duplicates(
    groups: Iterable[Sequence[str]], owner: Mapping[str, tuple[str, str]]
) -> Iterator[str]:
    """Warnings: equal pictures in one domain, in several domains, under several classes.

    Args:
        groups: paths of equal pictures.
        owner: (domain, class) of each path.
    """
    found = defaultdict(list)
    for paths in groups:
        domains = Counter(owner[path][0] for path in paths)
        example = " = ".join("/".join(Path(path).parts[-3:]) for path in paths[:2])
        if max(domains.values()) > 1:
            found["several times in one domain"].append(example)
        if len(domains) > 1:
            found["in several domains, so that a target may hold images of a source"].append(
                example
            )
        if len({owner[path][1] for path in paths}) > 1:
            found["under several classes"].append(example)
    for where, examples in found.items():
        verb = "occurs" if len(examples) == 1 else "occur"
        yield f"{_count(len(examples), 'picture')} {verb} {where}: {_some(examples)}"


def left_out(root: str | None, domains: Iterable[str]) -> Iterator[str]:
    """Warnings: files under the domains that the listing leaves out, hidden ones aside."""
    if root is None:
        return
    others, misplaced = [], []
    for domain in domains:
        for folder, _, names in os.walk(os.path.join(root, domain)):
            depth = len(Path(folder).relative_to(root).parts)
            for name in sorted(names):
                path = os.path.join(folder, name)
                if not is_image_name(name):
                    others.extend([] if name.startswith(".") else [path])
                elif depth != 2:
                    misplaced.append(path)
    if others:
        yield f"{_count(len(others), 'file')} left out, no image by name: {_some(others)}"
    if misplaced:
        yield (
            f"{_count(len(misplaced), 'image')} left out, not at <domain>/<class>/<image>: "
            f"{_some(misplaced)}"
        )


def _chosen(names: Sequence[str], chosen: np.ndarray) -> list[str]:
    return [name for name, is_chosen in zip(names, chosen, strict=True) if is_chosen]


def _count(number: int, noun: str) -> str:
    plural = "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{plural if number != 1 else ''}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
