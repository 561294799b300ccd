"""The data sets of the benchmark: what is in them, their terms, and where a person obtains them.

Facts only, from section 6 of the specification; nothing here reads a file. Start from `find_entry`.
"""

from qtdog_tf.data.catalog.counts import CountFindings, compare_counts
from qtdog_tf.data.catalog.digit_sets import COLORED_MNIST, ROTATED_FASHION_MNIST, ROTATED_MNIST
from qtdog_tf.data.catalog.entry import Counts, DataSetEntry, Download
from qtdog_tf.data.catalog.photo_sets import (
    DOMAIN_NET,
    OFFICE_HOME,
    PACS,
    TERRA_INCOGNITA,
    VLCS,
)
from qtdog_tf.errors import UserError

CATALOG: dict[str, DataSetEntry] = {
    entry.name: entry
    for entry in (
        PACS,
        VLCS,
        OFFICE_HOME,
        TERRA_INCOGNITA,
        DOMAIN_NET,
        ROTATED_MNIST,
        COLORED_MNIST,
        ROTATED_FASHION_MNIST,
    )
}


def find_entry(name: str) -> DataSetEntry:
    """Returns the entry of a data set.

    Args:
        name: for example "pacs".

    Raises:
        UserError: if there is none; the sentence names those that exist.
    """
    if name not in CATALOG:
        raise UserError(f"the catalogue has no data set {name!r}; it has {', '.join(CATALOG)}")
    return CATALOG[name]


__all__ = [
    "CATALOG",
    "COLORED_MNIST",
    "DOMAIN_NET",
    "OFFICE_HOME",
    "PACS",
    "ROTATED_FASHION_MNIST",
    "ROTATED_MNIST",
    "TERRA_INCOGNITA",
    "VLCS",
    "CountFindings",
    "Counts",
    "DataSetEntry",
    "Download",
    "compare_counts",
    "find_entry",
]
