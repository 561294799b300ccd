"""Which images of a domain are for training, which are held out: DomainBed's splits, bit for bit.

The facts are in section 6.2 of the method's specification: the seed is a hash of (trial seed,
environment index), NumPy's legacy generator shuffles the positions, and the first fifth is "out".
Start from `split_domains`.

A grouped split keeps images that belong together (one object, one patient, one camera) on one side
in every domain, so that "out" of a target domain holds objects that training has not seen in any
domain.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from qtdog_tf.data.domains import Domain, DomainSet
from qtdog_tf.errors import UserError

DEFAULT_HOLDOUT = 0.2


@dataclass(frozen=True, eq=False)
class Split:
    """Positions in `Domain.paths`, in shuffled order.

    Attributes:
        in_: int64, the images for training (of a source) or for the reported accuracy (of a
            target).
        out: int64, the images held out: validation of a source, oracle selection of a target.
    """

    in_: np.ndarray
    out: np.ndarray


def split_seed(trial_seed: int, env_index: int) -> int:
    """Returns DomainBed's seed of the split of one domain.

    Args:
        trial_seed: the trial, 0, 1, 2 in the paper.
        env_index: position of the domain among all domains of the data set, by sorted name.
    """
    return _hash_seed((trial_seed, env_index))


def split_indices(
    n: int, seed: int, holdout: float = DEFAULT_HOLDOUT
) -> tuple[np.ndarray, np.ndarray]:
    """Splits n positions as DomainBed does.

    Args:
        n: number of images.
        seed: what `split_seed` returns.
        holdout: the part held out, in [0, 1); floor(n * holdout) images.

    Returns:
        (in, out): int64, disjoint, together all of 0..n-1, in shuffled order.

    Raises:
        UserError: if holdout is not in [0, 1).
    """
    _check_holdout(holdout)
    keys = np.arange(n, dtype=np.int64)
    np.random.RandomState(seed).shuffle(keys)
    count = int(n * holdout)
    return keys[count:], keys[:count]


def split_domains(
    domain_set: DomainSet,
    trial_seed: int,
    holdout: float = DEFAULT_HOLDOUT,
    split_by: str | None = None,
) -> dict[str, Split]:
    """Splits every domain, sources and targets alike.

    Args:
        domain_set: the domains.
        trial_seed: another one gives another split.
        holdout: the part held out, in [0, 1).
        split_by: None, or a regular expression searched in the file name; what its first group
            matches (the whole match if it has none) names the group of the image. Images of one
            group fall on the same side in every domain. Groups are held out in random order until
            they hold at least `holdout` of all images.

    Returns:
        The split of each domain, by name.

    Raises:
        UserError: if holdout is out of range, the expression is invalid or does not match a file
            name, or a part of a domain would be empty.
    """
    if split_by is None:
        splits = {
            domain.name: Split(*split_indices(len(domain), split_seed(trial_seed, index), holdout))
            for index, domain in enumerate(domain_set.domains)
        }
    else:
        splits = _split_groups(domain_set, trial_seed, holdout, split_by)
    for name, split in splits.items():
        _refuse_empty_part(name, split, holdout)
    return splits


def halve_held_out(
    domain_set: DomainSet,
    splits: Mapping[str, Split],
    trial_seed: int,
    split_by: str | None = None,
) -> tuple[dict[str, Split], dict[str, np.ndarray]]:
    """Divides the "out" part of every domain in two, for validation and for a test.

    Args:
        domain_set: the domains.
        splits: what `split_domains` returned.
        trial_seed: as it was given to it.
        split_by: as it was given to it; groups fall on the same side in every domain here too.

    Returns:
        (splits whose "out" is the validation half, positions of the test half), by domain.

    Raises:
        UserError: if a half of a domain would be empty.
    """
    outs = {domain.name: splits[domain.name].out for domain in domain_set.domains}
    # In shuffled order, so that the first half of them is a fair sample.
    tested = {name: np.arange(len(out)) < len(out) // 2 for name, out in outs.items()}
    if split_by is not None:
        pattern = re.compile(split_by)
        groups = {
            name: np.array(
                [file_group(path, pattern) for path in domain_set.domain(name).paths_at(out)]
            )
            for name, out in outs.items()
        }
        of_test = _draw_groups(groups, 0.5, (trial_seed, "test groups"))
        tested = {name: np.isin(found, of_test) for name, found in groups.items()}
    validation, tests = {}, {}
    for name, is_test in tested.items():
        out = outs[name]
        if is_test.all() or not is_test.any():
            raise UserError(
                f"domain {name!r} has {len(out)} images set aside, too few to halve for validation "
                "and test: add images or change holdout or split_by"
            )
        validation[name] = Split(splits[name].in_, out[~is_test])
        tests[name] = out[is_test]
    return validation, tests


def split_fingerprint(splits: Mapping[str, Split]) -> str:
    """Returns 16 hex digits that identify the splits, for the record of a run."""
    digest = hashlib.sha256()
    for name in sorted(splits):
        for part, indices in (("in", splits[name].in_), ("out", splits[name].out)):
            digest.update(f"{name}\n{part} {len(indices)}\n".encode())
            digest.update(np.asarray(indices, dtype="<i8").tobytes())
    return digest.hexdigest()[:16]


def file_group(path: str, pattern: "re.Pattern[str]") -> str:
    """Returns the group that an image belongs to, by its file name.

    Raises:
        UserError: if the pattern, or its first group, matches nothing.
    """
    match = pattern.search(os.path.basename(path))
    group = match and match.group(1 if pattern.groups else 0)
    if not group:
        raise UserError(
            f"the file name of {path} does not match split_by={pattern.pattern!r}, "
            "so its group is unknown"
        )
    return group


def _split_groups(
    domain_set: DomainSet, trial_seed: int, holdout: float, split_by: str
) -> dict[str, Split]:
    _check_holdout(holdout)
    try:
        pattern = re.compile(split_by)
    except re.error as error:
        raise UserError(f"split_by={split_by!r} is not a regular expression: {error}") from error
    groups = {
        d.name: np.array([file_group(p, pattern) for p in d.paths]) for d in domain_set.domains
    }
    held_out = _draw_groups(groups, holdout, (trial_seed, "groups"))

    def split(index: int, domain: Domain) -> Split:
        # The shuffled order of the plain split, so that the first m of a part are a fair sample of
        # it.
        keys, _ = split_indices(len(domain), split_seed(trial_seed, index), holdout=0)
        is_out = np.isin(groups[domain.name][keys], held_out)
        return Split(keys[~is_out], keys[is_out])

    return {domain.name: split(i, domain) for i, domain in enumerate(domain_set.domains)}


def _draw_groups(
    groups: Mapping[str, np.ndarray], part: float, key: tuple[object, ...]
) -> np.ndarray:
    """Groups in random order until they hold at least that part of all images."""
    names, counts = np.unique(np.concatenate(list(groups.values())), return_counts=True)
    order = np.arange(len(names))
    np.random.RandomState(_hash_seed(key)).shuffle(order)
    images_before = np.cumsum(counts[order]) - counts[order]
    return names[order[images_before < part * counts.sum()]]


def _hash_seed(key: tuple[object, ...]) -> int:
    return int(hashlib.md5(str(key).encode(), usedforsecurity=False).hexdigest(), 16) % 2**31


def _check_holdout(holdout: float) -> None:
    if not 0 <= holdout < 1:
        raise UserError(
            f"holdout is {holdout}; it is a fraction of the images, at least 0 and below 1"
        )


def _refuse_empty_part(name: str, split: Split, holdout: float) -> None:
    n = len(split.in_) + len(split.out)
    if len(split.in_) == 0 or (holdout > 0 and len(split.out) == 0):
        part = "training" if len(split.in_) == 0 else "validation"
        raise UserError(
            f"domain {name!r} has {n} images, of which holdout={holdout} leaves none for {part}; "
            "add images or change holdout or split_by"
        )
