"""PACS, VLCS, OfficeHome and DomainNet: archives that hold `.../<domain>/<class>/<image>`."""

from collections.abc import Callable, Sequence
from pathlib import Path

from qtdog_tf.data.catalog import DataSetEntry
from qtdog_tf.data.folders import is_image_name
from qtdog_tf.errors import UserError
from qtdog_tf.prepare.archives import read_members
from qtdog_tf.prepare.settings import NO_DUPLICATES
from qtdog_tf.prepare.tree import ImageTree

_MAX_LIST_BYTES = 2**26


def read_duplicates(entry: DataSetEntry, path: str) -> frozenset[str]:
    """Reads a list of images to leave out, one `<domain>/<class>/<image>` a line.

    Args:
        entry: the data set.
        path: the list; "none" keeps all images.

    Raises:
        UserError: if the data set has such a list and none is given, or the other way round; or if
            it cannot be read or a line is something else.
    """
    if entry.duplicates is None:
        if path:
            raise UserError(f"{entry.title} has no list of duplicates; leave --duplicates out")
        return frozenset()
    if not path:
        raise UserError(
            f"{entry.title} is used without {sum(entry.duplicates):,} duplicates: get "
            "domain_net_duplicates.txt of DomainBed (domainbed/misc) and name it with "
            f"--duplicates, or keep them with --duplicates={NO_DUPLICATES}"
        )
    if path == NO_DUPLICATES:
        return frozenset()
    try:
        if Path(path).stat().st_size > _MAX_LIST_BYTES:
            raise UserError(f"{path} is too large for a list of duplicates")
        lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise UserError(f"the list {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no list of duplicates: it is no text") from error
    for number, line in enumerate(lines, 1):
        parts = line.split("/")
        if line and (len(parts) != 3 or parts[0] not in entry.domains):
            raise UserError(
                f"{path}, line {number}, is not <domain>/<class>/<image> of {entry.title}"
            )
    return frozenset(line for line in lines if line)


def duplicate_findings(entry: DataSetEntry, duplicates: frozenset[str]) -> tuple[str, ...]:
    """Says where a list of duplicates is not as long as the one that is known."""
    if not duplicates or entry.duplicates is None:
        return ()
    found = [sum(line.startswith(f"{name}/") for line in duplicates) for name in entry.domains]
    return tuple(
        f"the list names {n:,} duplicates of {name}, not {expected:,}"
        for name, n, expected in zip(entry.domains, found, entry.duplicates, strict=True)
        if n != expected
    )


def add_folder_images(
    tree: ImageTree,
    sources: Sequence[Path],
    duplicates: frozenset[str],
    advance: Callable[[int], object],
) -> tuple[str, ...]:
    """Adds every image whose last three parts are a domain, a class and a file name.

    Returns:
        Findings: images that lie elsewhere.

    Raises:
        UserError: if a source is damaged or refused.
    """
    entry = tree.entry
    domains, classes = frozenset(entry.domains), frozenset(entry.classes)
    elsewhere, example = 0, ""
    for source in sources:
        # A folder unpacked from one domain's archive may be the domain itself.
        prefix = f"{source.name}/" if source.is_dir() and source.name in domains else ""
        for member in read_members(source, advance):
            parts = (prefix + member.name).split("/")
            if len(parts) >= 3 and parts[-3] in domains and parts[-2] in classes:
                if "/".join(parts[-3:]) not in duplicates:
                    tree.add(parts[-3], parts[-2], member)
            elif is_image_name(parts[-1]):
                elsewhere, example = elsewhere + 1, example or member.name
    if not elsewhere:
        return ()
    return (f"{elsewhere:,} images left out, in no domain and class, for example {example!r}",)
