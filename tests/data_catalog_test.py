"""The catalogue: counts, orders and splits against the specification, and what a reader is told."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from qtdog_tf.data import open_domains, split_indices, split_seed
from qtdog_tf.data.catalog import (
    CATALOG,
    COLORED_MNIST,
    DOMAIN_NET,
    OFFICE_HOME,
    PACS,
    ROTATED_MNIST,
    TERRA_INCOGNITA,
    Counts,
    DataSetEntry,
    compare_counts,
    find_entry,
)
from qtdog_tf.errors import UserError

# Section 6.1: all images, and the fifth of each domain that is held out.
TOTALS = {
    "pacs": (9_991, (409, 468, 334, 785)),
    "vlcs": (10_729, (283, 531, 656, 675)),
    "office_home": (15_588, (485, 873, 887, 871)),
    "terra_incognita": (24_788, (975, 1953, 804, 1224)),
    "domain_net": (586_575, None),
    "rotated_mnist": (70_000, None),
    "colored_mnist": (70_000, None),
    "rotated_fashion_mnist": (70_000, None),
}
CLASSES = {"pacs": 7, "vlcs": 5, "office_home": 65, "terra_incognita": 10, "domain_net": 345}


def with_totals(entry: DataSetEntry, totals: tuple[int, ...]) -> np.ndarray:
    """Counts of classes that sum to the totals of the domains, with an image of each class."""
    counts = np.ones((len(entry.domains), len(entry.classes)), np.int64)
    counts[:, 0] = np.array(totals) - len(entry.classes) + 1
    return counts


@pytest.mark.parametrize("name", CATALOG)
def test_counts_are_those_of_the_specification(name: str) -> None:
    entry, (total, held_out) = CATALOG[name], TOTALS[name]
    assert entry.counts[0].total == total
    assert len(entry.classes) == CLASSES.get(name, len(entry.classes))
    if held_out:
        for env, (images, out) in enumerate(zip(entry.counts[0].images, held_out, strict=True)):
            assert len(split_indices(images, split_seed(0, env))[1]) == out


def test_the_splits_of_pacs_are_those_of_the_specification() -> None:
    images = PACS.counts[0].images
    out, _ = split_indices(images[0], split_seed(0, 0))[::-1]
    assert list(out[:8]) == [548, 677, 1997, 977, 1553, 1123, 1936, 1520]
    out, _ = split_indices(images[3], split_seed(2, 3))[::-1]
    assert list(out[:8]) == [3714, 1165, 1672, 1675, 3541, 527, 830, 4]


def test_both_versions_of_terra_are_known() -> None:
    assert [c.total for c in TERRA_INCOGNITA.counts] == [24_788, 24_330]
    for counts in TERRA_INCOGNITA.counts:
        found = compare_counts(TERRA_INCOGNITA, with_totals(TERRA_INCOGNITA, counts.images))
        assert found.version == counts.version
        assert (found.absent, found.differences) == ((), ())


def test_differences_are_from_the_nearest_version() -> None:
    counts = with_totals(TERRA_INCOGNITA, (4741, 9736, 3970, 5880))
    found = compare_counts(TERRA_INCOGNITA, counts)
    assert found.version is None
    assert found.differences == (
        "domain location_46 has 5,880 images, 3 fewer than 5,883 (as downloaded today (24,330))",
    )


def test_absent_domains_and_classes_are_named() -> None:
    counts = with_totals(PACS, PACS.counts[0].images)
    counts[1] = 0
    counts[3, [2, 5]] = 0
    found = compare_counts(PACS, counts)
    assert found.absent == ("domain cartoon has no image",)
    assert found.differences == (
        "domain sketch has no image of class giraffe, house",
        "domain sketch has 3,927 images, 2 fewer than 3,929 (DomainBed)",
    )


def test_the_duplicates_of_domain_net_are_those_of_the_specification() -> None:
    assert DOMAIN_NET.duplicates is not None
    assert sum(DOMAIN_NET.duplicates) == 9_431


def test_the_classes_of_domain_net_are_those_of_tensorflow_datasets() -> None:
    builder = tfds.builder_cls("domainnet")
    names = builder(config="real", data_dir="/nowhere").info.features["label"].names
    assert DOMAIN_NET.classes == tuple(sorted(names))


def test_upper_case_comes_first_as_python_sorts() -> None:
    assert OFFICE_HOME.classes.index("TV") == OFFICE_HOME.classes.index("Table") - 1
    assert COLORED_MNIST.labels == ("+90%", "+80%", "-90%")
    assert ROTATED_MNIST.domains == ("0", "15", "30", "45", "60", "75")


def test_an_entry_checks_itself() -> None:
    values = {f: getattr(PACS, f) for f in PACS.__dataclass_fields__}
    with pytest.raises(ValueError, match="sorted"):
        DataSetEntry(**{**values, "domains": PACS.domains[::-1]})
    with pytest.raises(ValueError, match="a value for each of 4 domains"):
        DataSetEntry(**{**values, "counts": (Counts("short", (1, 2)),)})


def test_a_description_says_what_is_not_known() -> None:
    text = PACS.described()
    assert "art_painting 2,048" in text and "together 9,991" in text
    assert "licence: not known here" in text
    assert "PACS.zip" in text


def test_names_that_are_unknown_or_not_prepared_are_refused() -> None:
    with pytest.raises(UserError, match=r"no data set 'pcas'; it has pacs, vlcs"):
        find_entry("pcas")
    with pytest.raises(UserError, match=r"python -m tools.prepare --dataset=pacs"):
        open_domains("pacs")
