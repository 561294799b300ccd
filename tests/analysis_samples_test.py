"""The images of an analysis are those of the run's split, whatever is left of it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from qtdog_tf.analysis.samples import of_role, read_samples
from qtdog_tf.data import open_domains, split_domains, split_fingerprint
from qtdog_tf.data.domains import DomainSet
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation import Run
from tests.small_data import make_small_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DomainSet:
    return open_domains(str(make_small_data(tmp_path_factory.mktemp("data") / "small")))


def make_run(data: DomainSet, trial_seed: int) -> Run:
    names = {"variant": "erm", "backbone": "tiny", "split_by": "", "data": data.name}
    return Run(
        path=Path("run"),
        bits=32,
        holdout=0.2,
        image_size=8,
        classes=data.classes,
        sources=("flat", "gradient"),
        targets=("line",),
        trial_seed=trial_seed,
        listing=data.fingerprint(),
        split=split_fingerprint(split_domains(data, trial_seed, 0.2)),
        **names,
    )


def test_parts_are_those_of_the_split(data: DomainSet) -> None:
    samples = read_samples(make_run(data, 3), data)
    where = [(s.domain, s.role, s.part) for s in samples]
    sources = [(name, "source", part) for part in ("in", "out") for name in ("flat", "gradient")]
    assert where == [*sources, ("line", "target", "all")]
    split = split_domains(data, 3, 0.2)["flat"]
    assert samples[0].paths == tuple(data.domain("flat").paths[i] for i in np.sort(split.in_))
    assert samples[0].pixels.shape == (len(split.in_), 8, 8, 3)
    assert [s.domain for s in of_role(samples, "source")] == ["flat", "gradient"]


def test_a_limit_chooses_the_same_images_again(data: DomainSet) -> None:
    one, two = (read_samples(make_run(data, 0), data, limit=3, seed=5) for _ in range(2))
    assert [s.paths for s in one] == [s.paths for s in two]
    assert {len(s.paths) for s in one} == {3}
    other = read_samples(make_run(data, 0), data, limit=3, seed=6)
    assert [s.paths for s in other] != [s.paths for s in one]


def test_an_ensemble_that_has_seen_everything_has_no_validation_part(data: DomainSet) -> None:
    """Found by trying: the first empty part ended the whole analysis."""
    members = tuple(make_run(data, seed) for seed in range(12))
    run = dataclasses.replace(members[0], members=members)
    parts = [(s.domain, s.part) for s in read_samples(run, data)]
    assert parts == [("flat", "in"), ("gradient", "in"), ("line", "all")]


def test_other_data_is_refused(data: DomainSet) -> None:
    run = dataclasses.replace(make_run(data, 0), listing="another")
    with pytest.raises(UserError, match="an analysis needs the run's own data"):
        read_samples(run, data)
