"""The worst group, by hand and against a loop."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from qtdog_tf.analysis.samples import Sample
from qtdog_tf.analysis.worst_group import worst_group

CLASSES = ("face", "hand", "vehicle")


def pair(domain: str, labels: list[int], right: list[int]) -> tuple[Sample, np.ndarray]:
    paths = tuple(f"{domain}/{i}.png" for i in range(len(labels)))
    pixels = np.zeros((len(labels), 1, 1, 3), np.uint8)
    sample = Sample(domain, "target", "all", paths, pixels, np.array(labels, np.int32))
    return sample, np.array(right, bool)


def test_by_hand() -> None:
    pairs = [
        # face 3 of 5; hand 0 of 4, which are too few.
        pair("line", [0] * 5 + [1] * 4, [1, 1, 1, 0, 0] + [0] * 4),
        # face 4 of 5, vehicle 2 of 6.
        pair("flat", [2] * 6 + [0] * 5, [1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0]),
    ]
    worst = {"domain": "flat", "class": "vehicle", "accuracy": 2 / 6, "images": 6}
    assert worst_group(pairs, CLASSES) == worst
    assert worst_group(pairs) == {**worst, "class": 2}
    hand = {"domain": "line", "class": "hand", "accuracy": 0.0, "images": 4}
    assert worst_group(pairs, CLASSES, min_images=4) == hand
    assert worst_group(pairs, CLASSES, min_images=7) is None
    assert worst_group([]) is None


def test_parts_of_one_domain_are_taken_together() -> None:
    pairs = [pair("line", [1] * 3, [1, 0, 0]), pair("line", [1] * 2, [0, 0])]
    assert worst_group(pairs) == {"domain": "line", "class": 1, "accuracy": 0.2, "images": 5}


def test_of_equals_the_first() -> None:
    pairs = [pair("b", [1] * 5 + [0] * 5, [0] * 10), pair("a", [0] * 5, [0] * 5)]
    assert worst_group(pairs) == {"domain": "b", "class": 0, "accuracy": 0.0, "images": 5}


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.booleans()),
        max_size=60,
    )
)
def test_against_a_loop(images: list[tuple[str, int, bool]]) -> None:
    pairs = []
    for domain in "abc":
        mine = [(label, right) for d, label, right in images if d == domain]
        pairs.append(pair(domain, [label for label, _ in mine], [right for _, right in mine]))
    groups = {}
    for domain in "abc":
        for label in range(3):
            members = [right for d, own, right in images if (d, own) == (domain, label)]
            if len(members) >= 5:
                groups[domain, label] = sum(members) / len(members)
    found = worst_group(pairs)
    if not groups:
        assert found is None
        return
    assert found is not None
    first = min(groups, key=lambda group: groups[group])
    assert (found["domain"], found["class"]) == first
    assert found["accuracy"] == groups[first]
