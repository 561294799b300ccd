"""Splits against the specification's test vectors, and their properties."""

import re

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from qtdog_tf.data.domains import Domain, DomainSet
from qtdog_tf.data.splits import (
    file_group,
    split_domains,
    split_fingerprint,
    split_indices,
    split_seed,
)
from qtdog_tf.errors import UserError

SEEDS = {
    0: (894182419, 1514274641, 1325548499, 1796103049, 1773288162, 1833038383),
    1: (785910682, 1442673865, 1981683110, 1739848239, 582996474, 65219121),
    2: (472130416, 181139023, 248334461, 1709828778, 402558190, 941488192),
}
FIRST_KEYS = {
    (0, 0, 2048): (548, 677, 1997, 977, 1553, 1123, 1936, 1520),
    (0, 1, 2344): (1488, 562, 461, 570, 2092, 1124, 1898, 1260),
    (1, 0, 2048): (1394, 1699, 1095, 19, 1757, 1988, 411, 222),
    (2, 3, 3929): (3714, 1165, 1672, 1675, 3541, 527, 830, 4),
}
# Images and held-out images of PACS, VLCS and OfficeHome, spec 6.1.
COUNTS = {2048: 409, 2344: 468, 1670: 334, 3929: 785, 1415: 283, 2656: 531, 4439: 887, 4357: 871}


def a_domain_set(groups_of_domains: list[list[str]]) -> DomainSet:
    domains = [
        Domain(
            f"d{i}",
            tuple(f"/x/d{i}/c/{g}_{k}.png" for k, g in enumerate(groups)),
            np.zeros(len(groups)),
        )
        for i, groups in enumerate(groups_of_domains)
    ]
    return DomainSet("x", ("c",), tuple(domains))


@pytest.mark.parametrize("trial_seed", SEEDS)
def test_split_seed_is_domainbeds(trial_seed: int) -> None:
    assert tuple(split_seed(trial_seed, env) for env in range(6)) == SEEDS[trial_seed]


@pytest.mark.parametrize("case", FIRST_KEYS)
def test_shuffle_is_domainbeds(case: tuple[int, int, int]) -> None:
    trial_seed, env_index, n = case
    _, out = split_indices(n, split_seed(trial_seed, env_index))
    assert tuple(out[:8]) == FIRST_KEYS[case]


@pytest.mark.parametrize("n", COUNTS)
def test_a_fifth_rounded_down_is_held_out(n: int) -> None:
    in_, out = split_indices(n, seed=1)
    assert (len(out), len(in_)) == (COUNTS[n], n - COUNTS[n])


@given(
    n=st.integers(0, 500),
    seed=st.integers(0, 2**31 - 1),
    holdout=st.floats(0, 1, exclude_max=True),
)
def test_parts_are_disjoint_and_complete(n: int, seed: int, holdout: float) -> None:
    in_, out = split_indices(n, seed, holdout)
    assert in_.dtype == out.dtype == np.int64
    assert sorted([*in_, *out]) == list(range(n))
    assert len(out) == int(n * holdout)


@given(
    groups=st.lists(
        st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=30), min_size=1, max_size=4
    ),
    trial_seed=st.integers(0, 5),
    holdout=st.floats(0.05, 0.6),
)
def test_groups_stay_together_in_every_domain(
    groups: list[list[str]], trial_seed: int, holdout: float
) -> None:
    domain_set = a_domain_set(groups)
    try:
        splits = split_domains(domain_set, trial_seed, holdout, split_by=r"^(\w)_")
    except UserError:
        reject()  # a domain so small that a part of it would be empty
    inside = {groups[i][k] for i, s in enumerate(splits.values()) for k in s.in_}
    outside = {groups[i][k] for i, s in enumerate(splits.values()) for k in s.out}
    assert not inside & outside
    total = sum(map(len, groups))
    held_out = sum(len(s.out) for s in splits.values())
    largest = max(sum(g.count(name) for g in groups) for name in outside)
    assert holdout * total <= held_out < holdout * total + largest
    for i, split in enumerate(splits.values()):
        assert sorted([*split.in_, *split.out]) == list(range(len(groups[i])))


def test_split_depends_on_trial_and_domain_only() -> None:
    domain_set = a_domain_set([["a"] * 50, ["b"] * 50])
    splits = split_domains(domain_set, 0)
    again = split_domains(domain_set, 0)
    other = split_domains(domain_set, 1)
    assert split_fingerprint(splits) == split_fingerprint(again) != split_fingerprint(other)
    np.testing.assert_array_equal(splits["d0"].out, again["d0"].out)
    assert list(splits["d0"].out) != list(splits["d1"].out)


def test_group_is_the_first_capture_or_the_whole_match() -> None:
    assert file_group("/p/07_x.png", re.compile(r"^(\d)(\d)")) == "0"
    assert file_group("/p/07_x.png", re.compile(r"^\d\d")) == "07"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"holdout": 1.0}, "holdout is 1.0"),
        ({"holdout": -0.1}, "holdout is -0.1"),
        ({"holdout": 0.01}, "domain 'd0' has 10 images, .* none for validation"),
        ({"split_by": "("}, "not a regular expression"),
        ({"split_by": r"^(\d+)"}, "d0/c/a_0.png does not match"),
        ({"split_by": r"^(q)?a"}, "d0/c/a_0.png does not match"),
        ({"split_by": "^a"}, "none for training"),
    ],
)
def test_what_cannot_be_split_is_refused(arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        split_domains(a_domain_set([["a"] * 10]), 0, **arguments)  # type: ignore[arg-type]
