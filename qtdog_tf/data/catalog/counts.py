"""Compares the images that a person has with what the catalogue expects. See `compare_counts`."""

from dataclasses import dataclass

import numpy as np

from qtdog_tf.data.catalog.entry import Counts, DataSetEntry
from qtdog_tf.data.domains import DomainSet

_NAMED = 5


@dataclass(frozen=True)
class CountFindings:
    """What the comparison found.

    Attributes:
        version: the version of the data set that all counts agree with, or None.
        absent: sentences, one for each domain without an image: what remains is another benchmark.
        differences: sentences on classes that a domain lacks and on counts that differ.
    """

    version: str | None
    absent: tuple[str, ...]
    differences: tuple[str, ...]


def count_images(entry: DataSetEntry, domain_set: DomainSet) -> np.ndarray:
    """Counts a listing, int64 [domains, classes] in the catalogue's order; leaves out others."""
    counts = np.zeros((len(entry.domains), len(entry.classes)), np.int64)
    columns = [entry.classes.index(c) if c in entry.classes else -1 for c in domain_set.classes]
    for domain in domain_set.domains:
        if domain.name in entry.domains:
            found = np.bincount(domain.labels, minlength=len(columns))
            for column, number in zip(columns, found, strict=True):
                if column >= 0:
                    counts[entry.domains.index(domain.name), column] = number
    return counts


def compare_counts(entry: DataSetEntry, counts: np.ndarray) -> CountFindings:
    """Compares the number of images with the versions that are known.

    Args:
        entry: the data set.
        counts: int64 [domains, classes], in the catalogue's order.

    Returns:
        The findings; differences are from the version that is nearest in number of images.
    """
    images = counts.sum(axis=1)
    absent = tuple(
        f"domain {name} has no image"
        for name, n in zip(entry.domains, images, strict=True)
        if not n
    )
    lacking = (
        f"domain {domain} has no image of class {_some(names)}"
        for domain, row in zip(entry.domains, counts, strict=True)
        if row.any() and (names := [c for c, n in zip(entry.classes, row, strict=True) if not n])
    )
    same = [c.version for c in entry.counts if c.images == tuple(images)]
    differing = () if same else _differing(entry, _nearest(entry, images), images)
    return CountFindings(same[0] if same else None, absent, (*lacking, *differing))


def _nearest(entry: DataSetEntry, images: np.ndarray) -> Counts:
    return min(entry.counts, key=lambda c: int(np.abs(np.array(c.images) - images).sum()))


def _differing(entry: DataSetEntry, counts: Counts, images: np.ndarray) -> tuple[str, ...]:
    return tuple(
        f"domain {name} has {found:,} images, {abs(found - expected):,} "
        f"{'fewer' if found < expected else 'more'} than {expected:,} ({counts.version})"
        for name, expected, found in zip(entry.domains, counts.images, images, strict=True)
        if found and found != expected
    )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
