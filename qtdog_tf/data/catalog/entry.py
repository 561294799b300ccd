"""What an entry of the catalogue says: plain values, checked at construction."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Download:
    """One file, or the folder unpacked from it, that a person obtains.

    Attributes:
        name: what the file is called where it is offered.
        patterns: names that are recognised, in lower case, without the archive's suffix; `*` stands
            for anything.
    """

    name: str
    patterns: tuple[str, ...]


@dataclass(frozen=True)
class Counts:
    """How many images each domain of one version of a data set holds.

    Attributes:
        version: what tells this version from others.
        images: a number for each domain, in the catalogue's order.
    """

    version: str
    images: tuple[int, ...]

    @property
    def total(self) -> int:
        """Images of all domains together."""
        return sum(self.images)


@dataclass(frozen=True)
class DataSetEntry:
    """One data set of the benchmark. Numbers for each class are not published, so not held here.

    Attributes:
        name: what programs and TensorFlow Datasets call it, for example "office_home".
        title: what papers call it, for example "OfficeHome".
        folder: the folder that DomainBed looks for; it holds `<domain>/<class>/<image>`.
        domains: names of the folders of the domains, in the order of DomainBed's environment index,
            which is that of sorted names.
        labels: what tables call the domains, for example "A".
        classes: names of the classes in the order of the labels, which is that of sorted names.
        counts: the versions that are known to be in use.
        licence: the terms, or None: they are not known here.
        source: where a person obtains it.
        downloads: what has to be there for `tools.prepare`.
        duplicates: images that DomainBed's list of duplicates names, for each domain, or None:
            there is no such list.
        note: what else a person has to know, or nothing.
    """

    name: str
    title: str
    folder: str
    domains: tuple[str, ...]
    labels: tuple[str, ...]
    classes: tuple[str, ...]
    counts: tuple[Counts, ...]
    licence: str | None
    source: str
    downloads: tuple[Download, ...]
    duplicates: tuple[int, ...] | None = field(default=None)
    note: str = ""

    def __post_init__(self) -> None:
        if list(self.domains) != sorted(self.domains) or list(self.classes) != sorted(self.classes):
            raise ValueError(f"{self.name}: domains and classes must be sorted by name")
        columns = [self.labels, *(counts.images for counts in self.counts)]
        if self.duplicates is not None:
            columns.append(self.duplicates)
        if any(len(column) != len(self.domains) for column in columns):
            raise ValueError(f"{self.name}: a value for each of {len(self.domains)} domains needed")

    def described(self) -> str:
        """Some lines for a person: what is in it, the terms, and where it is obtained."""
        lines = [
            f"{self.title} ({self.name}): {len(self.domains)} domains, {len(self.classes)} classes",
            *(f"  images, {c.version}: {self._numbers(c)}" for c in self.counts),
            f"  licence: {self.licence or 'not known here, ask its authors'}",
            f"  obtain: {', '.join(d.name for d in self.downloads)} from {self.source}",
        ]
        return "\n".join(lines + ([f"  note: {self.note}"] if self.note else []))

    def _numbers(self, counts: Counts) -> str:
        pairs = zip(self.domains, counts.images, strict=True)
        return ", ".join(f"{name} {n:,}" for name, n in pairs) + f", together {counts.total:,}"
