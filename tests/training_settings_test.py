"""Settings, roles and variants: what they mean and what they refuse."""

import dataclasses
from pathlib import Path

import pytest

from qtdog_tf.errors import UserError
from qtdog_tf.training.members import member_seeds, plan_ensembles
from qtdog_tf.training.roles import Roles, plan_roles, roles_for_cross_validation
from qtdog_tf.training.settings import TrainSettings
from qtdog_tf.training.variants import Variant, parse_variants

NAMES = ("art", "photo", "sketch")


def test_defaults_are_the_papers() -> None:
    settings = TrainSettings()
    assert (settings.steps, settings.quantize_step, settings.eval_every) == (5001, 2000, 300)
    assert (settings.learning_rate, settings.adam_epsilon, settings.weight_decay) == (5e-5, 1e-8, 0)
    assert (settings.images_per_domain, settings.image_size, settings.holdout) == (32, 224, 0.2)
    assert settings.freeze_batch_norm and settings.per_channel and not settings.select_from_float


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"steps": 0}, "steps must be at least 1; received 0"),
        (
            {"steps": 100, "quantize_step": 100},
            r"quantize_step \(100\) must be below steps \(100\)",
        ),
        ({"steps_per_execution": 3}, "must divide quantize_step"),
        ({"init": "median"}, "init must be one of mean, max; received 'median'"),
        ({"dropout": 1.0}, "dropout must be at most 0.95"),
        ({"learning_rate": float("nan")}, "learning_rate must be at least 0"),
    ],
)
def test_refused_values(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        TrainSettings(**values)  # type: ignore[arg-type]


def test_every_setting_explains_itself() -> None:
    for field in dataclasses.fields(TrainSettings):
        assert field.metadata["help"].endswith("."), field.name


def test_each_domain_in_turn() -> None:
    assert plan_roles(NAMES, ("all",)) == [
        Roles(("photo", "sketch"), ("art",)),
        Roles(("art", "sketch"), ("photo",)),
        Roles(("art", "photo"), ("sketch",)),
    ]


def test_no_target_trains_on_every_domain() -> None:
    (roles,) = plan_roles(NAMES, ("none",))
    assert roles == Roles(NAMES, ()) and roles.name == "all_domains"


def test_listed_targets_are_held_out_together() -> None:
    (roles,) = plan_roles(NAMES, ("sketch", "art"))
    assert roles == Roles(("photo",), ("sketch", "art")) and roles.name == "sketch+art"
    assert plan_roles(NAMES, ("sketch",), ("art",)) == [Roles(("art",), ("sketch",))]


def test_cross_validation_takes_every_target_and_every_pair() -> None:
    assert roles_for_cross_validation(NAMES) == [
        *plan_roles(NAMES, ("all",)),
        Roles(("sketch",), ("art", "photo")),
        Roles(("photo",), ("art", "sketch")),
        Roles(("art",), ("photo", "sketch")),
    ]
    six = roles_for_cross_validation("abcdef")
    assert len(six) == len({roles.name for roles in six}) == 6 + 15
    assert plan_roles("abcdef", ("pairs",)) == six
    with pytest.raises(UserError, match="no source domain is left"):
        roles_for_cross_validation(NAMES[:2])


@pytest.mark.parametrize(
    ("targets", "sources", "sentence"),
    [
        (("cartoon",), (), "no domain 'cartoon'; the data has art, photo, sketch"),
        (("art",), ("clay",), "no domain 'clay'"),
        (("art",), ("art", "photo"), "both a source and a target"),
        (("all", "art"), (), "must be all, pairs, none, or names"),
        ((), (), "must be all, pairs, none, or names"),
        (("art", "art"), (), "named twice"),
        (NAMES, (), "no source domain is left"),
    ],
)
def test_refused_roles(targets: tuple[str, ...], sources: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        plan_roles(NAMES, targets, sources)


def test_variants_by_name() -> None:
    assert parse_variants(("erm", "qtdog7", "frozen5", "frozen_float", "inq5")) == (
        Variant("erm", "off", 32),
        Variant("qtdog7", "train", 7),
        Variant("frozen5", "frozen", 5),
        Variant("frozen_float", "frozen_float", 32),
        Variant("inq5", "inq", 5),
    )


def test_noise_by_name() -> None:
    names = ("noise7", "noise04_m2", "uniform1e-4", "uniform2.5e-3_m1")
    variants = parse_variants(names)
    assert [v.name for v in variants] == ["noise7", "noise4_m2", *names[2:]]
    assert [(v.mode, v.wrapper_mode, v.bits, v.quantized) for v in variants] == [
        ("noise", "train", 32, False)
    ] * 4
    assert [v.noise_bits for v in variants] == [7, 4, None, None]
    assert [v.noise_amplitude for v in variants] == [None, None, 1e-4, 2.5e-3]
    assert [v.member for v in variants] == [0, 2, 0, 1]
    (quantized,) = parse_variants(("qtdog7",))
    assert (quantized.noise_bits, quantized.noise_amplitude) == (None, None)


def test_a_variant_has_members_beside_the_first() -> None:
    variants = parse_variants(("qtdog7", "qtdog07_m1", "erm_m12", "frozen_float_m2"))
    assert variants == (
        Variant("qtdog7", "train", 7),
        Variant("qtdog7_m1", "train", 7),
        Variant("erm_m12", "off", 32),
        Variant("frozen_float_m2", "frozen_float", 32),
    )
    assert [variant.base for variant in variants] == ["qtdog7", "qtdog7", "erm", "frozen_float"]
    assert [variant.member for variant in variants] == [0, 1, 12, 2]


@pytest.mark.parametrize("name", ["qtdog7_m0", "qtdog7_m01", "qtdog7_m", "qtdog7_m1_m2", "_m1"])
def test_refused_members(name: str) -> None:
    with pytest.raises(UserError, match="unknown variant"):
        parse_variants((name,))


def test_members_of_trials_are_trials_of_their_own(tmp_path: Path) -> None:
    roles = [Roles(("art",), ("photo",)), Roles(("photo",), ("art",))]
    planned = plan_ensembles(roles, (0, 2), 3, parse_variants(("erm", "qtdog7")))
    assert [(e.trial_seed, e.roles.name, e.variant.name) for e in planned[:3]] == [
        (0, "photo", "erm"),
        (0, "photo", "qtdog7"),
        (0, "art", "erm"),
    ]
    assert len(planned) == 8
    last = planned[-1]
    assert last.seeds == [6, 7, 8]
    assert last.folder(tmp_path) == tmp_path / "art-ensemble2" / "qtdog7"
    assert last.member_folders(tmp_path)[0] == tmp_path / "art-trial6" / "qtdog7"
    assert member_seeds((0, 2), 3) == [0, 1, 2, 6, 7, 8]
    assert member_seeds((0, 2), 1) == [0, 2]
    assert plan_ensembles(roles, (0, 2), 1, parse_variants(("qtdog7_m1",))) == []
    with pytest.raises(UserError, match="--members=3 .*'qtdog7_m1' is another member"):
        plan_ensembles(roles, (0,), 3, parse_variants(("qtdog7_m1",)))


@pytest.mark.parametrize("name", ["uniform", "uniform0", "uniform10e-4", "uniform1.0e-4", "noise9"])
def test_refused_noise(name: str) -> None:
    with pytest.raises(UserError, match=f"variant '{name}'"):
        parse_variants((name,))


@pytest.mark.parametrize("names", [("qtdog9",), ("qtdog1",), ("qtdog-3",), ("qtdog",), ("",), ()])
def test_refused_variants(names: tuple[str, ...]) -> None:
    with pytest.raises(UserError):
        parse_variants(names)


def test_a_variant_twice_is_refused() -> None:
    with pytest.raises(UserError, match="different names"):
        parse_variants(("qtdog7", "qtdog07"))
