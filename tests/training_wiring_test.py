"""Every setting reaches what it is about: a value other than the default is found there."""

import dataclasses

import keras
import pytest

from qtdog_tf.algorithms import AlgorithmSettings, build_algorithm
from qtdog_tf.algorithms.mixstyle import MixStyle
from qtdog_tf.quantization.wrapper import quantize_wrappers
from qtdog_tf.training.averages import build_averages
from qtdog_tf.training.model import build_training_model
from qtdog_tf.training.settings import TrainSettings
from qtdog_tf.training.variant_quantizers import quantizer_of
from qtdog_tf.training.variants import parse_variants

# By setting: another value than the default, and the attribute of the algorithm that has it.
OF_ALGORITHMS = {
    "coral_gamma": (2.5, "gamma"),
    "fish_meta_lr": (0.3, "meta_lr"),
    "fishr_lambda": (77.0, "penalty_weight"),
    "fishr_ema": (0.8, "ema"),
    "fishr_anneal_steps": (7, "anneal_steps"),
    "groupdro_eta": (0.2, "eta"),
    "irm_lambda": (44.0, "penalty_weight"),
    "irm_anneal_steps": (8, "anneal_steps"),
    "mixstyle_domain_labels": (True, "min_domains"),
    "mixup_alpha": (0.7, "alpha"),
    "mldg_beta": (0.4, "beta"),
    "mldg_test_domains": (1, "test_domains"),
    "mmd_gamma": (3.5, "gamma"),
    "rsc_feature_drop": (0.2, "feature_drop"),
    "rsc_batch_drop": (0.6, "batch_drop"),
    "sagm_rho": (0.2, "rho"),
    "sagm_alpha": (0.02, "alpha"),
    "sagnet_adversarial_weight": (0.6, "adversarial_weight"),
    "sam_rho": (0.3, "rho"),
    "saqat_window": (11, "window"),
    "saqat_threshold": (0.6, "threshold"),
    "saqat_mask": ("layer", "mask"),
    "saqat_permanent": (True, "permanent"),
    "vrex_lambda": (33.0, "penalty_weight"),
    "vrex_anneal_steps": (9, "anneal_steps"),
    "distill_temperature": (3.0, "temperature"),
    "distill_soft_weight": (0.25, "soft_weight"),
    "distill_start": (5, "start"),
}
# What these decide is tested where the layers and the teacher are.
ELSEWHERE = {
    *("algorithm", "teacher", "teacher_model"),
    *("mixstyle_alpha", "mixstyle_probability", "mixstyle_layers"),
}
SMALL = TrainSettings(backbone="tiny", weights="none", image_size=8)


def test_no_setting_of_an_algorithm_is_left_out() -> None:
    names = {field.name for field in dataclasses.fields(AlgorithmSettings)}
    assert names == OF_ALGORITHMS.keys() | ELSEWHERE


@pytest.mark.parametrize("name", OF_ALGORITHMS)
def test_a_setting_reaches_its_algorithm(name: str) -> None:
    value, attribute = OF_ALGORITHMS[name]
    algorithm = name.partition("_")[0]
    given = {"algorithm": algorithm, name: value}
    if algorithm == "distill":
        given["teacher"] = "a run"
    plain = AlgorithmSettings(**{key: given[key] for key in given if key != name})  # type: ignore[arg-type]
    teacher = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    before, after = (
        getattr(build_algorithm(settings, 3, teacher), attribute)
        for settings in (plain, AlgorithmSettings(**given))  # type: ignore[arg-type]
    )
    assert after == (2 if name == "mixstyle_domain_labels" else value) != before


def test_settings_of_mixstyle_reach_its_layers() -> None:
    settings = AlgorithmSettings(
        algorithm="mixstyle",
        mixstyle_alpha=0.4,
        mixstyle_probability=0.2,
        mixstyle_layers="top_relu",
    )
    model = build_training_model(SMALL, 3, bits=4, seed=0, algorithm=settings)
    (layer,) = [layer for layer in model.layers if isinstance(layer, MixStyle)]
    assert (layer.alpha, layer.probability, layer.name) == (0.4, 0.2, "mixstyle_top_relu")


def test_settings_of_averages_reach_them() -> None:
    settings = dataclasses.replace(
        SMALL,
        averages=("sma", "swa", "swad"),
        sma_start=7,
        quantize_step=30,
        swad_converge=2,
        swad_tolerance=5,
        swad_ratio=0.2,
        swad_mode="code",
    )
    sma, swa, swad = build_averages(settings)
    assert (sma.get_config(), swa.get_config()) == ({"start": 7}, {"start": 30})
    assert swad.get_config() == {"converge": 2, "tolerance": 5, "ratio": 0.2, "mode": "code"}


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("per_channel", False, {"channel_axes": []}),
        ("init", "max", {"init": "max"}),
        ("grad_scale", "none", {"grad_scale": "none"}),
        ("narrow_range", "always", {"narrow_range": True}),
        ("narrow_range", "never", {"narrow_range": False}),
    ],
)
def test_settings_of_the_quantizer_reach_every_layer(
    setting: str, value: object, expected: dict[str, object]
) -> None:
    settings = dataclasses.replace(SMALL, **{setting: value})  # type: ignore[arg-type]
    wrappers = quantize_wrappers(build_training_model(settings, 3, bits=4, seed=0))
    assert len(wrappers) == 4
    for wrapper in wrappers:
        ((_, quantizer, _),) = wrapper.quantized_weights
        assert expected.items() <= quantizer.get_config().items()


def test_dense_layers_are_quantized_if_they_are_to_be_and_the_head_never() -> None:
    settings = TrainSettings(
        backbone="deit_small", weights="none", image_size=32, quantize_dense=True
    )
    kinds = {
        dense: [
            type(wrapper.layer).__name__
            for wrapper in quantize_wrappers(
                build_training_model(
                    dataclasses.replace(settings, quantize_dense=dense), 3, bits=4, seed=0
                )
            )
        ]
        for dense in (False, True)
    }
    assert kinds[False] == ["Conv2D"]
    assert kinds[True].count("Conv2D") == 1 and kinds[True].count("Dense") == 12 * 4


@pytest.mark.parametrize(("rule", "levels"), [("paper", 8), ("code", 15)])
def test_the_rule_of_inq_reaches_its_quantizer(rule: str, levels: int) -> None:
    (variant,) = parse_variants(("inq5",))
    settings = dataclasses.replace(SMALL, inq_levels=rule)
    make = quantizer_of(variant, settings, 0)
    model = build_training_model(settings, 3, bits=5, seed=0)
    wrapper = quantize_wrappers(model)[0]
    ((_, own, _),) = wrapper.quantized_weights
    assert make is not None and make(model, 0, own).count == levels
