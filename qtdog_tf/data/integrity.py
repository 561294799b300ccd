"""Finds what is wrong with the images before training finds out at step 4,000.

Start from `check_domains`; `print(report)` shows the table of counts and all findings, and
`report.raise_errors()` stops a program.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from qtdog_tf.data import findings
from qtdog_tf.data.domains import Domain, DomainSet
from qtdog_tf.data.image_check import DIGEST_BYTES, ImageState, inspect_images
from qtdog_tf.data.path_list import PathList
from qtdog_tf.errors import UserError


@dataclass(frozen=True, eq=False)
class IntegrityReport:
    """What the check found.

    Attributes:
        title: name of the data set.
        domains: names of the domains that were checked.
        classes: names of the classes.
        counts: int64 [classes, domains], number of images, unreadable ones included.
        unreadable: the images that cannot be read, with the reason of each.
        duplicates: groups of images that show the same picture, pixel by pixel.
        errors: sentences; training makes no sense before these are put right.
        warnings: sentences; training is possible.
    """

    title: str
    domains: tuple[str, ...]
    classes: tuple[str, ...]
    counts: np.ndarray
    unreadable: tuple[ImageState, ...]
    duplicates: tuple[tuple[str, ...], ...]
    errors: tuple[str, ...]
    warnings: tuple[str, ...]

    def table(self) -> str:
        """Returns the number of images of each class (row) and domain (column) as text."""
        head = ["class", *self.domains, "all"]
        rows = [
            [name, *row, row.sum()] for name, row in zip(self.classes, self.counts, strict=True)
        ]
        total = self.counts.sum(axis=0)
        cells = [head, *rows, ["all", *total, total.sum()]]
        texts = [[c if isinstance(c, str) else f"{c:,}" for c in row] for row in cells]
        widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
            for row in texts
        ]
        rule = "-" * len(lines[0])
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])

    def __str__(self) -> str:
        size = f"{len(self.domains)} domains, {len(self.classes)} classes"
        found = [f"error: {e}" for e in self.errors] + [f"warning: {w}" for w in self.warnings]
        title = f"{self.title}: {size}, {self.counts.sum():,} images"
        return "\n".join([title, "", self.table(), "", *(found or ["no errors, no warnings"])])

    def with_errors(self, errors: Sequence[str]) -> "IntegrityReport":
        """Returns this report with further errors, each listed once."""
        return replace(self, errors=tuple(dict.fromkeys([*self.errors, *errors])))

    def raise_errors(self) -> None:
        """Does nothing if there are no errors.

        Raises:
            UserError: with all errors.
        """
        if self.errors:
            raise UserError(f"{self.title} cannot be used: " + "; ".join(self.errors))


def check_domains(
    domain_set: DomainSet,
    source_domains: Sequence[str] | None = None,
    target_domains: Sequence[str] | None = None,
    *,
    open_images: bool = True,
    threads: int | None = None,
) -> IntegrityReport:
    """Checks names, counts, and every image of the domains.

    Args:
        domain_set: the domains.
        source_domains: domains to train on; all but the targets by default.
        target_domains: domains held out, which then must not hold classes that no source has. By
            default no domain is a target.
        open_images: whether to decode every image, to find unreadable ones and duplicates; about a
            millisecond of one core for each small image.
        threads: how many images at once; the number of CPU cores by default.

    Returns:
        The report. Errors: fewer than two domains, a domain without images, a class without images
        in any domain of the set, a class that a target has and no source, images that cannot be
        read. Warnings: a class missing from some domain, duplicates inside or across domains or
        classes, files that are left out.

    Raises:
        UserError: if a domain does not exist.
    """
    targets = tuple(target_domains or ())
    sources = tuple(source_domains or (n for n in domain_set.names if n not in targets))
    chosen = sorted({domain_set.env_index(name) for name in (*sources, *targets)})
    domains = [domain_set.domains[index] for index in chosen]
    names = tuple(domain.name for domain in domains)
    classes = domain_set.classes
    counts = np.stack([np.bincount(d.labels, minlength=len(classes)) for d in domains], axis=1)

    paths = PathList.join([domain.paths for domain in domains]) if open_images else PathList.of(())
    # Of half a million images only the digests are kept, in one array.
    digests = np.zeros(len(paths), f"S{DIGEST_BYTES}")
    unreadable = []
    for position, state in enumerate(inspect_images(paths, threads)):
        digests[position] = state.digest
        if state.problem:
            unreadable.append(state)
    groups = _equal_pictures(digests)
    duplicates = tuple(tuple(paths.take(group)) for group in groups)
    return IntegrityReport(
        title=domain_set.name,
        domains=names,
        classes=classes,
        counts=counts,
        unreadable=tuple(unreadable),
        duplicates=duplicates,
        errors=(
            *findings.too_few(names, counts),
            *findings.empty_classes(domain_set),
            *findings.unknown_to_sources(sources, targets, names, classes, counts),
            *findings.unreadable_images(unreadable),
        ),
        warnings=(
            *findings.missing_classes(names, classes, counts),
            *findings.duplicates(duplicates, _owners(domains, classes, paths, groups)),
            *findings.left_out(domain_set.root, names),
        ),
    )


def _equal_pictures(digests: np.ndarray) -> list[list[int]]:
    """Positions of equal digests, two or more each; an empty one, of no image, equals none."""
    _, picture, counts = np.unique(digests, return_inverse=True, return_counts=True)
    groups: dict[int, list[int]] = {}
    for position in np.flatnonzero((counts[picture] > 1) & (digests != b"")).tolist():
        groups.setdefault(int(picture[position]), []).append(position)
    return list(groups.values())


def _owners(
    domains: Sequence[Domain],
    classes: Sequence[str],
    paths: PathList,
    groups: Sequence[Sequence[int]],
) -> dict[str, tuple[str, str]]:
    """Domain and class of each path in the groups."""
    ends = np.cumsum([len(domain) for domain in domains])
    labels = np.concatenate([domain.labels for domain in domains])
    return {
        paths[position]: (
            domains[int(np.searchsorted(ends, position, "right"))].name,
            classes[labels[position]],
        )
        for group in groups
        for position in group
    }
