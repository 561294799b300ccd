"""Draws of hyperparameters against a second implementation, by hand, and within bounds."""

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtdog_tf.algorithms.settings import ALGORITHMS, AlgorithmSettings
from qtdog_tf.errors import UserError
from qtdog_tf.sweep.hparams import SEARCHES, SMALL_IMAGES, SWAD_GRID, draw_hparams, seed_hash
from qtdog_tf.training.settings import TrainSettings

Random = np.random.RandomState


def domain_bed(seed: int, name: str, law: Callable[[Random], float]) -> float:
    """A draw as DomainBed makes it: bytes of the digest instead of its hexadecimal text."""
    digest = hashlib.md5(repr((seed, name)).encode()).digest()
    return law(Random(int.from_bytes(digest, "big") & 0x7FFFFFFF))


def test_the_hash_is_that_of_the_splits() -> None:
    """The method's section 6.2 prints hashes of pairs of numbers."""
    assert seed_hash(0, 0) == 894182419 and seed_hash(2, 5) == 941488192


def test_draws_of_photographs_are_domain_beds() -> None:
    for seed in (1, 2, 19):
        assert draw_hparams("erm", "pacs", seed) == {
            "learning_rate": domain_bed(seed, "lr", lambda r: 10 ** r.uniform(-5, -3.5)),
            "weight_decay": domain_bed(seed, "weight_decay", lambda r: 10 ** r.uniform(-6, -2)),
            "images_per_domain": domain_bed(
                seed, "batch_size", lambda r: int(2 ** r.uniform(3, 5.5))
            ),
            "dropout": domain_bed(seed, "resnet_dropout", lambda r: r.choice([0.0, 0.1, 0.5])),
        }
    assert draw_hparams("erm", "domain_net", 3)["images_per_domain"] == domain_bed(
        3, "batch_size", lambda r: int(2 ** r.uniform(3, 5))
    )


def test_draws_of_digits_are_domain_beds() -> None:
    for data_set in SMALL_IMAGES:
        assert draw_hparams("erm", data_set, 4) == {
            "learning_rate": domain_bed(4, "lr", lambda r: 10 ** r.uniform(-4.5, -2.5)),
            "weight_decay": 0.0,
            "images_per_domain": domain_bed(4, "batch_size", lambda r: int(2 ** r.uniform(3, 9))),
            "dropout": 0.0,
        }


@pytest.mark.parametrize(
    ("algorithm", "flag", "name", "law"),
    [
        ("coral", "coral_gamma", "mmd_gamma", lambda r: 10 ** r.uniform(-1, 1)),
        ("fish", "fish_meta_lr", "meta_lr", lambda r: r.choice([0.05, 0.1, 0.5])),
        ("fishr", "fishr_lambda", "lambda", lambda r: 10 ** r.uniform(1, 4)),
        ("fishr", "fishr_anneal_steps", "penalty_anneal_iters", lambda r: int(r.uniform(0, 5000))),
        ("fishr", "fishr_ema", "ema", lambda r: r.uniform(0.9, 0.99)),
        ("groupdro", "groupdro_eta", "groupdro_eta", lambda r: 10 ** r.uniform(-3, -1)),
        ("irm", "irm_lambda", "irm_lambda", lambda r: 10 ** r.uniform(-1, 5)),
        (
            "irm",
            "irm_anneal_steps",
            "irm_penalty_anneal_iters",
            lambda r: int(10 ** r.uniform(0, 4)),
        ),
        ("mixup", "mixup_alpha", "mixup_alpha", lambda r: 10 ** r.uniform(-1, 1)),
        ("mldg", "mldg_beta", "mldg_beta", lambda r: 10 ** r.uniform(-1, 1)),
        ("mldg", "mldg_test_domains", "n_meta_test", lambda r: r.choice([1, 2])),
        ("mmd", "mmd_gamma", "mmd_gamma", lambda r: 10 ** r.uniform(-1, 1)),
        ("rsc", "rsc_feature_drop", "rsc_f_drop_factor", lambda r: r.uniform(0, 0.5)),
        ("rsc", "rsc_batch_drop", "rsc_b_drop_factor", lambda r: r.uniform(0, 0.5)),
        ("sagm", "sagm_rho", "rho", lambda r: r.choice([0.01, 0.02, 0.05, 0.1])),
        ("sagm", "sagm_alpha", "alpha", lambda r: r.choice([0.01, 0.02, 0.05, 0.1])),
        ("sagnet", "sagnet_adversarial_weight", "sag_w_adv", lambda r: 10 ** r.uniform(-2, 1)),
        ("sam", "sam_rho", "rho", lambda r: r.choice([0.01, 0.02, 0.05, 0.1])),
        ("vrex", "vrex_lambda", "vrex_lambda", lambda r: 10 ** r.uniform(-1, 5)),
        (
            "vrex",
            "vrex_anneal_steps",
            "vrex_penalty_anneal_iters",
            lambda r: int(10 ** r.uniform(0, 4)),
        ),
    ],
)
def test_draws_of_the_methods_are_domain_beds(
    algorithm: str, flag: str, name: str, law: Callable[[Random], float]
) -> None:
    for seed in (1, 7, 12):
        assert draw_hparams(algorithm, "vlcs", seed)[flag] == domain_bed(seed, name, law)


def test_a_draw_stays_what_it_was() -> None:
    """The program md5sum says 4522...cd13 of "(1, 'lr')", which modulo 2^31 is 103267603."""
    assert seed_hash(1, "lr") == 103267603
    assert draw_hparams("erm", "pacs", 1)["learning_rate"] == pytest.approx(2.10137122e-5)


def test_draw_0_is_the_default_that_the_flags_have() -> None:
    for algorithm in ALGORITHMS:
        for name, value in draw_hparams(algorithm, "pacs", 0).items():
            own = TrainSettings() if hasattr(TrainSettings(), name) else AlgorithmSettings()
            assert getattr(own, name) == value, (algorithm, name)
    digits = draw_hparams("erm", "rotated_mnist", 0)
    assert (digits["learning_rate"], digits["images_per_domain"]) == (1e-3, 64)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(ALGORITHMS),
    st.sampled_from(["pacs", "domain_net", "colored_mnist", "photos"]),
    st.integers(0, 10**9),
    st.none() | st.integers(0, 9),
)
def test_any_draw_is_allowed_and_repeats(
    algorithm: str, data_set: str, seed: int, trial: int | None
) -> None:
    values = draw_hparams(algorithm, data_set, seed, trial)
    assert values == draw_hparams(algorithm, data_set, seed, trial)
    train = {field.name for field in dataclasses.fields(TrainSettings)}
    ours: dict[str, Any] = {name: value for name, value in values.items() if name in train}
    TrainSettings(**ours)
    own: dict[str, Any] = {name: value for name, value in values.items() if name not in train}
    AlgorithmSettings(**own)
    assert all(name.startswith(algorithm) for name in own)
    for name, value in values.items():
        default = getattr(TrainSettings() if name in train else AlgorithmSettings(), name)
        assert type(value) is type(default), name
    digits = data_set == "colored_mnist"
    assert (
        10 ** (-4.5 if digits else -5)
        <= values["learning_rate"]
        <= 10 ** (-2.5 if digits else -3.5)
    )
    most = {"domain_net": 32, "colored_mnist": 512}.get(data_set, 45)
    assert 8 <= values["images_per_domain"] <= (64 if digits and seed == 0 else most)


def test_each_trial_may_search_anew_as_in_domain_bed() -> None:
    draw = draw_hparams("erm", "pacs", 5, 2)
    seed = seed_hash(5, 2)
    assert draw["learning_rate"] == domain_bed(seed, "lr", lambda r: 10 ** r.uniform(-5, -3.5))
    assert draw_hparams("erm", "pacs", 5, 1) != draw != draw_hparams("erm", "pacs", 5)


def test_eoa_keeps_learning_rate_and_batch() -> None:
    values = draw_hparams("erm", "pacs", 3, search="eoa")
    decay = domain_bed(3, "weight_decay", lambda r: 10 ** r.uniform(-6, -4))
    assert (values["learning_rate"], values["images_per_domain"]) == (5e-5, 32)
    assert values["weight_decay"] == decay


def test_swads_grid_is_every_combination() -> None:
    draws = [draw_hparams("erm", "pacs", seed, search="swad") for seed in range(1, 19)]
    seen = {(d["learning_rate"], d["dropout"], d["weight_decay"]) for d in draws}
    assert seen == set(SWAD_GRID) and len(seen) == 18
    assert {d["images_per_domain"] for d in draws} == {32}
    with pytest.raises(UserError, match="grid has 18 draws; there is no 19"):
        draw_hparams("erm", "pacs", 19, search="swad")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("dann", "pacs", 1, None), "no hyperparameters of algorithm 'dann'"),
        (("erm", "pacs", -1, None), "seeds must be at least 0; received -1"),
        (("erm", "pacs", 1, -2), "received 1 and -2"),
    ],
)
def test_refused(arguments: tuple, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        draw_hparams(*arguments)


def test_the_papers_that_searched_less_had_no_digits() -> None:
    for search in SEARCHES[1:]:
        with pytest.raises(UserError, match="for rotated_mnist: use domainbed"):
            draw_hparams("erm", "rotated_mnist", 1, search=search)
