"""Domains: named image sources with the same classes.

Everything downstream (splits, pipeline, integrity check, evaluation) starts from a `DomainSet`,
which is only a listing: the paths of the images and their labels. Start from `open_domains` in
`sources.py`.
"""

import hashlib
import os
from dataclasses import dataclass

import numpy as np

from qtdog_tf.data.path_list import PathList
from qtdog_tf.errors import UserError


@dataclass(frozen=True, eq=False)
class Domain:
    """The images of one domain, in the order on which every split rests.

    Attributes:
        name: the domain's name, for example "sketch".
        paths: paths of the images, sorted by class, then by file name; a `PathList` of whatever
            sequence is given.
        labels: int32 [n], read-only, the index of each image's class in `DomainSet.classes`.
    """

    name: str
    paths: PathList
    labels: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", PathList.of(self.paths))
        labels = np.array(self.labels, dtype=np.int32)
        if labels.shape != (len(self.paths),):
            raise ValueError(
                f"domain {self.name!r}: labels of shape {labels.shape} for {len(self.paths)} paths"
            )
        labels.setflags(write=False)
        object.__setattr__(self, "labels", labels)

    def __len__(self) -> int:
        return len(self.paths)

    def paths_at(self, indices: np.ndarray) -> list[str]:
        """Returns the paths at some positions, in their order."""
        return list(self.paths.take(indices))


@dataclass(frozen=True, eq=False)
class DomainSet:
    """Domains that share one list of classes.

    Attributes:
        name: what a person calls the data set, for example "emoji_styles".
        classes: class names in the order of the labels.
        domains: the domains; their position is DomainBed's environment index.
        root: the folder `root/<domain>/<class>/<image>`, or None if there is no such folder.
    """

    name: str
    classes: tuple[str, ...]
    domains: tuple[Domain, ...]
    root: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the domains, in order."""
        return tuple(domain.name for domain in self.domains)

    def __len__(self) -> int:
        return sum(len(domain) for domain in self.domains)

    def domain(self, name: str) -> Domain:
        """Returns the domain of that name.

        Raises:
            UserError: if there is none; the sentence names those that exist.
        """
        return self.domains[self.env_index(name)]

    def env_index(self, name: str) -> int:
        """Returns the position of a domain, which the split of spec 6.2 is seeded with.

        Raises:
            UserError: if there is no such domain; the sentence names those that exist.
        """
        if name not in self.names:
            raise UserError(
                f"there is no domain {name!r} in {self.name}; its domains are "
                f"{', '.join(self.names)}"
            )
        return self.names.index(name)

    def fingerprint(self) -> str:
        """Returns 16 hex digits that change when a domain, class or file name changes.

        The folder that holds the images does not matter, nor does what is in the files.
        """
        digest = hashlib.sha256()
        for name in self.classes:
            digest.update(f"class {name}\n".encode())
        for domain in self.domains:
            digest.update(f"domain {domain.name}\n".encode())
            for path, label in zip(domain.paths, domain.labels, strict=True):
                line = f"{label} {os.path.basename(path)}\n"
                digest.update(line.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()[:16]
