"""Which images of a data set a run is evaluated on, and under which labels."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtdog_tf.data import Domain, DomainSet, split_domains, split_fingerprint
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation import Run, choose_images, refuse_unknown

CLASSES = ("cat", "dog", "owl")


def make_data(classes: tuple[str, ...] = CLASSES, domains: str = "day dusk night") -> DomainSet:
    """Eight images of each class in each domain; a file name tells its domain and class."""
    labels = np.repeat(np.arange(len(classes)), 8)
    return DomainSet(
        name="photos",
        classes=classes,
        domains=tuple(
            Domain(d, tuple(f"{d}-{classes[n]}-{i}.png" for i, n in enumerate(labels)), labels)
            for d in domains.split()
        ),
    )


def make_run(listing: str, split: str) -> Run:
    return Run(
        path=Path("runs") / "night-trial3" / "erm",
        variant="erm",
        bits=32,
        data="photos",
        holdout=0.25,
        split_by="",
        backbone="tiny",
        image_size=16,
        classes=CLASSES,
        sources=("day",),
        targets=("night",),
        trial_seed=3,
        listing=listing,
        split=split,
    )


@pytest.fixture
def run() -> Run:
    """A run on `make_data()` that held out "night" and left "dusk" alone."""
    data = make_data()
    return make_run(data.fingerprint(), split_fingerprint(split_domains(data, 3, 0.25)))


def test_unseen_leaves_out_what_the_run_was_trained_on(run: Run) -> None:
    data = make_data()
    day, dusk, night = choose_images(run, data)
    assert [(i.role, i.part) for i in (day, dusk, night)] == [
        ("source", "out"),
        ("new", "all"),
        ("target", "all"),
    ]
    held_out = split_domains(data, 3, 0.25)["day"].out
    assert set(day.domain.paths) == {data.domain("day").paths[i] for i in held_out}
    assert night.domain.paths == data.domain("night").paths


@pytest.mark.parametrize("part", ["in", "out"])
def test_parts_are_those_of_the_split(run: Run, part: str) -> None:
    data = make_data()
    (night,) = choose_images(run, data, ("night",), part)
    split = split_domains(data, 3, 0.25)["night"]
    expected = split.in_ if part == "in" else split.out
    assert set(night.domain.paths) == {data.domain("night").paths[i] for i in expected}
    assert night.part == part


def test_all_takes_training_images_too(run: Run) -> None:
    chosen = choose_images(run, make_data(), part="all")
    assert [len(images.domain) for images in chosen] == [24, 24, 24]


def test_changed_split_is_noticed(run: Run) -> None:
    with pytest.raises(UserError, match="does not give the split.*--part=all"):
        choose_images(dataclasses.replace(run, holdout=0.5), make_data(), part="out")


def test_other_data_has_no_parts_and_may_hold_training_images(run: Run) -> None:
    data = make_data(("cat", "dog"), "day fog")
    with pytest.raises(UserError, match="--part=in is a part of the run's own data"):
        choose_images(run, data, part="in")
    day, fog = choose_images(run, data)
    assert [(i.role, i.part) for i in (day, fog)] == [("source?", "all"), ("new", "all")]


@given(st.lists(st.sampled_from(["owl", "dog", "cat", "yak", "ant", "bee"]), min_size=1))
def test_labels_are_those_of_the_run_whatever_the_classes_of_the_data(names: list[str]) -> None:
    classes = tuple(sorted(set(names)))
    run = make_run("other", "other")
    if not set(classes) & set(CLASSES):
        with pytest.raises(UserError, match="the run knows cat, dog, owl"):
            choose_images(run, make_data(classes, "fog"))
        return
    (fog,) = choose_images(run, make_data(classes, "fog"))
    for path, label in zip(fog.domain.paths, fog.domain.labels, strict=True):
        assert path.split("-")[1] == CLASSES[label]
    assert fog.unknown == {name: 8 for name in classes if name not in CLASSES}
    assert len(fog.domain) == 8 * len(set(classes) & set(CLASSES))


def test_strict_refuses_unknown_classes(run: Run) -> None:
    refuse_unknown(choose_images(run, make_data()))
    chosen = choose_images(run, make_data(("cat", "yak"), "fog mist"))
    with pytest.raises(UserError, match=r"16 images .* \(yak\)"):
        refuse_unknown(chosen)


def test_domains_that_do_not_exist_are_refused(run: Run) -> None:
    with pytest.raises(UserError, match="no domain 'fog'.*day, dusk, night"):
        choose_images(run, make_data(), ("fog",))
    with pytest.raises(UserError, match="named twice"):
        choose_images(run, make_data(), ("day", "day"))
