"""Which data set runs are of, by its domains and classes. Start from `identify`."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import PurePath

from qtdog_tf.data.catalog import CATALOG


@dataclasses.dataclass(frozen=True)
class DataSet:
    """What runs must share to stand in one table.

    Attributes:
        name: the catalogue's, "pacs" for example; of another set the same as `title`.
        title: for people.
        domains: every domain, sorted.
        classes: every class, in the order of the labels.
        published: whether papers may have figures of it: it is in the catalogue.
    """

    name: str
    title: str
    domains: tuple[str, ...]
    classes: tuple[str, ...]
    published: bool = False


def identify(domains: Iterable[str], classes: Sequence[str], data: str) -> DataSet:
    """The data set of a run.

    A folder may be called anything, so what counts are the names of domains and classes; those of
    TensorFlow Datasets have "_" where a folder has a space.

    Args:
        domains: every domain.
        classes: every class.
        data: what the run was told to train on, for the title of a set that is not in the
            catalogue.
    """
    domains, classes = tuple(sorted(domains)), tuple(classes)
    for entry in CATALOG.values():
        if _plain(entry.domains) == _plain(domains) and _plain(entry.classes) == _plain(classes):
            return DataSet(entry.name, entry.title, domains, classes, published=True)
    title = PurePath(data).name.removeprefix("tfds:") or data
    return DataSet(title, title, domains, classes)


def same_name(one: str, other: str) -> bool:
    """Whether two names are of the same domain, see `identify`."""
    return _plain([one]) == _plain([other])


def _plain(names: Iterable[str]) -> set[str]:
    return {name.replace(" ", "_").casefold() for name in names}
