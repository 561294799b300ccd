"""PACS, VLCS, OfficeHome, TerraIncognita and DomainNet from folders `<domain>/<class>/<image>`.

No script may download them (they lie behind links for people, or have to be cleaned first), so they
are read from TFDS' `manual_dir`: DomainBed's folder, or what `tools.prepare` writes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qtdog_tf.data.catalog import (
    DOMAIN_NET,
    OFFICE_HOME,
    PACS,
    TERRA_INCOGNITA,
    DataSetEntry,
)
from qtdog_tf.data.catalog import VLCS as VLCS_ENTRY
from qtdog_tf.data.domains import DomainSet
from qtdog_tf.data.folders import read_folder
from qtdog_tf.datasets.domain_builder import DomainBuilder, split_name
from qtdog_tf.errors import UserError

_INSTRUCTIONS = "manual_dir holds the folders of the domains ({}), or a folder {} that holds them."


def read_layout(folder: Path, entry: DataSetEntry) -> DomainSet:
    """Lists a data set that lies in a folder or in the folder that DomainBed calls it by.

    Args:
        folder: the folder.
        entry: the data set.

    Returns:
        The listing; other folders beside those of the domains are not in it.

    Raises:
        UserError: if a domain is missing, or a class is not one of the data set.
    """
    named = folder / entry.folder
    listing = read_folder(named if named.is_dir() else folder, entry.name)
    missing = [name for name in entry.domains if name not in listing.names]
    if missing:
        raise UserError(
            f"{listing.root} lacks {', '.join(missing)} of {entry.title}, whose domains are "
            f"{', '.join(entry.domains)}"
        )
    domains = tuple(listing.domain(name) for name in entry.domains)
    found = {listing.classes[label] for domain in domains for label in set(domain.labels.tolist())}
    unknown = sorted(found - set(entry.classes))
    if unknown:
        raise UserError(
            f"{listing.root} holds images of class {', '.join(unknown[:5])}, which {entry.title} "
            "does not have"
        )
    return DomainSet(entry.name, listing.classes, domains, listing.root)


class FolderBuilder(DomainBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Builds a data set from the folder that TFDS calls `manual_dir`."""

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        listing = read_layout(Path(dl_manager.manual_dir), self.entry)
        return {
            split_name(domain.name): self._generate_examples(listing, domain.name)
            for domain in listing.domains
        }

    def _generate_examples(
        self, listing: DomainSet, domain: str
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        chosen = listing.domain(domain)
        for key, (path, label) in enumerate(zip(chosen.paths, chosen.labels, strict=True)):
            kind = listing.classes[label]
            yield key, {"image": path, "label": kind, "filename": Path(path).name}


def _instructions(entry: DataSetEntry) -> str:
    needed = _INSTRUCTIONS.format(", ".join(entry.domains), entry.folder)
    return f"{needed} Make it with tools.prepare from:\n{entry.described()}"


class Pacs(FolderBuilder):
    """PACS, `tfds.load("pacs")`: splits art_painting, cartoon, photo, sketch."""

    entry = PACS
    MANUAL_DOWNLOAD_INSTRUCTIONS = _instructions(PACS)


class VLCS(FolderBuilder):
    """VLCS, `tfds.load("vlcs")`: splits Caltech101, LabelMe, SUN09, VOC2007."""

    entry = VLCS_ENTRY
    MANUAL_DOWNLOAD_INSTRUCTIONS = _instructions(VLCS_ENTRY)


class OfficeHome(FolderBuilder):
    """OfficeHome, `tfds.load("office_home")`: splits Art, Clipart, Product, Real_World."""

    entry = OFFICE_HOME
    MANUAL_DOWNLOAD_INSTRUCTIONS = _instructions(OFFICE_HOME)


class TerraIncognita(FolderBuilder):
    """TerraIncognita, `tfds.load("terra_incognita")`: location_100, _38, _43, _46."""

    entry = TERRA_INCOGNITA
    MANUAL_DOWNLOAD_INSTRUCTIONS = _instructions(TERRA_INCOGNITA)


class DomainNet(FolderBuilder):
    """DomainNet, `tfds.load("domain_net")`; TFDS' own is `domainnet`, without file names."""

    entry = DOMAIN_NET
    MANUAL_DOWNLOAD_INSTRUCTIONS = _instructions(DOMAIN_NET)
