"""MixStyle: the formula, who is mixed with whom, and its place in a model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from qtdog_tf.algorithms import AlgorithmSettings, prepare_model, without_mixstyle
from qtdog_tf.algorithms.mixstyle import MixStyle, mix
from qtdog_tf.algorithms.mixstyle_places import PLACES, insert_mixstyle, mixstyle_places
from qtdog_tf.algorithms.randomness import symmetric_beta
from qtdog_tf.errors import UserError
from qtdog_tf.models import build_classifier
from qtdog_tf.models.resnet import VARIANTS
from qtdog_tf.quantization.annotate import quantize
from qtdog_tf.training.model import build_training_model
from qtdog_tf.training.settings import TrainSettings
from tests.algorithms_models import determinism

__all__ = ["determinism"]  # a fixture

X = np.random.default_rng(0).normal(2, 3, (4, 3, 5, 2))


def statistics(x):
    mean = x.mean((1, 2), keepdims=True)
    return mean, np.sqrt(x.var((1, 2), ddof=1, keepdims=True) + 1e-6)


def test_the_formula_and_its_gradient():
    share = np.array([0.0, 1.0, 0.25, 0.5]).reshape(4, 1, 1, 1)
    partners = np.array([2, 0, 1, 3])
    mean, sigma = statistics(X)
    new_sigma = share * sigma + (1 - share) * sigma[partners]
    expected = (X - mean) / sigma * new_sigma + share * mean + (1 - share) * mean[partners]
    inputs = tf.constant(X, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        mixed = mix(inputs, tf.constant(share, tf.float32), tf.constant(partners))
    np.testing.assert_allclose(mixed, expected, rtol=1e-4, atol=1e-4)
    # Statistics are constants to the gradient.
    slope = np.broadcast_to(new_sigma / sigma, X.shape)
    np.testing.assert_allclose(tape.gradient(mixed, inputs), slope, rtol=1e-4)


def test_it_works_in_training_only_and_as_often_as_asked():
    images = tf.constant(X, tf.float32)
    always, never = MixStyle(1.0, seed=1), MixStyle(0.0, seed=1)
    assert always(images) is images
    np.testing.assert_array_equal(never(images, training=True), images)
    assert np.abs(always(images, training=True) - images).max() > 0.1
    half = MixStyle(0.5, seed=1)
    mixed = [not np.array_equal(half(images, training=True), images) for _ in range(60)]
    assert 18 <= sum(mixed) <= 42
    copy = MixStyle.from_config(MixStyle(0.3, 0.2, 3, 5, name="m").get_config())
    assert (copy.probability, copy.alpha, copy.domains, copy.seed) == (0.3, 0.2, 3, 5)


def partners_of(layer, size):
    """Who is mixed with whom, for twenty seeds."""
    seeds = [tf.constant([1, number], tf.int64) for number in range(20)]
    return [layer._partners(tf.constant(size), seed).numpy() for seed in seeds]


def test_without_domains_anybody_is_a_partner():
    for partners in partners_of(MixStyle(), 7):
        assert sorted(partners) == list(range(7))


@pytest.mark.parametrize("domains", [2, 3, 4, 5])
def test_with_domains_a_partner_is_of_the_next_one_in_a_random_cycle(domains):
    size = 4 * domains
    cycles, orders = set(), set()
    for partners in partners_of(MixStyle(domains=domains), size):
        assert sorted(partners) == list(range(size))
        following = partners.reshape(domains, 4) // 4
        assert (following == following[:, :1]).all()
        place, seen = 0, []
        for _ in range(domains):
            seen.append(place)
            place = int(following[place, 0])
        # One cycle through all domains: none is its own partner, none is left out.
        assert sorted(seen) == list(range(domains)) and place == 0
        cycles.add(tuple(seen))
        orders.add(tuple(partners[:4] % 4))
    assert len(cycles) > (domains > 2) and len(orders) > 5


def test_with_domains_images_must_stand_domain_by_domain():
    settings = AlgorithmSettings(algorithm="mixstyle", mixstyle_domain_labels=True)
    train = TrainSettings(backbone="tiny", weights="none", image_size=8)
    model = build_training_model(train, 3, bits=4, seed=2, algorithm=settings, num_domains=2)
    assert {la.domains for la in model.layers if isinstance(la, MixStyle)} == {2}
    images, labels = np.zeros((4, 8, 8, 3), "uint8"), np.zeros(4, "int32")
    mixed = {"image": images, "domain": np.array([0, 1, 0, 1], "int32")}
    with pytest.raises(tf.errors.InvalidArgumentError, match="domain by domain"):
        model.fit(mixed, labels, 4, shuffle=False, verbose=0)
    with pytest.raises(UserError, match="mixstyle needs at least 2 source domains; received 1"):
        build_training_model(train, 3, bits=4, seed=2, algorithm=settings)


def test_beta_variates():
    for alpha in (0.1, 2.0):
        draws = symmetric_beta(alpha, [20_000], tf.constant([1, 2], tf.int64)).numpy()
        assert np.isfinite(draws).all() and (draws >= 0).all() and (draws <= 1).all()
        assert draws.mean() == pytest.approx(0.5, abs=0.02)
        assert draws.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)


def test_places_are_the_ends_of_stages():
    for name, variant in VARIANTS.items():
        ends = [f"layer{stage}_{variant.blocks[stage - 1] - 1}_relu" for stage in (1, 2, 3)]
        assert list(PLACES[name]) == ends


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "resnet18", "tiny"])
def test_it_goes_into_a_backbone_and_out_again(backbone):
    classifier = build_classifier(backbone, 3, image_size=32, weights=None, seed=1)
    model = prepare_model(classifier, AlgorithmSettings(algorithm="mixstyle"), backbone, seed=7)
    places = [layer for layer in model.layers if isinstance(layer, MixStyle)]
    assert [layer.name for layer in places] == [f"mixstyle_{name}" for name in PLACES[backbone]]
    assert [layer.seed for layer in places] == [7, 8, 9]
    images = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype("float32")
    np.testing.assert_array_equal(model(images), classifier(images))
    back = without_mixstyle(model)
    assert [layer.name for layer in back.layers] == [layer.name for layer in classifier.layers]
    for ours, theirs in zip(back.get_weights(), classifier.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_training_model_has_it_and_its_inference_model_does_not(tmp_path):
    settings = TrainSettings(backbone="tiny", weights="none", image_size=8)
    model = build_training_model(
        settings, 3, bits=4, seed=2, algorithm=AlgorithmSettings(algorithm="mixstyle")
    )
    assert sum(isinstance(layer, MixStyle) for layer in model.layers) == 3
    without_mixstyle(model).save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert not any(isinstance(layer, MixStyle) for layer in loaded.layers)
    images = np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 3)).astype("float32")
    np.testing.assert_array_equal(loaded(images), model(images))
    assert any(np.any(model(images, training=True) != model(images)) for _ in range(9))
    again = without_mixstyle(loaded)
    assert again.layers == loaded.layers


def test_it_keeps_what_was_frozen_and_survives_quantize():
    classifier = build_classifier("tiny", 3, image_size=8, weights=None)
    classifier.get_layer("stem_conv").trainable = False
    model = quantize(insert_mixstyle(classifier, ["stem_relu"]), bits=4)
    assert [layer.name for layer in model.layers if isinstance(layer, MixStyle)]
    assert not model.get_layer("quant_stem_conv").layer._kernel.trainable


def test_a_transformer_has_no_place_for_it():
    with pytest.raises(UserError, match="deit_small has tokens instead"):
        mixstyle_places("deit_small")


def test_places_that_do_not_exist():
    classifier = build_classifier("tiny", 3, image_size=8, weights=None)
    with pytest.raises(UserError, match="no layer 'nowhere' to put MixStyle behind"):
        insert_mixstyle(classifier, ["nowhere"])
    with pytest.raises(UserError, match="layer 'pool' has"):
        insert_mixstyle(classifier, ["pool"])
    settings = AlgorithmSettings(algorithm="mixstyle")
    with pytest.raises(UserError, match="set mixstyle_layers to the names"):
        prepare_model(classifier, settings, "applications/VGG16")
    settings = AlgorithmSettings(algorithm="mixstyle", mixstyle_layers="stem_relu, top_relu")
    model = prepare_model(classifier, settings, "applications/VGG16")
    assert sum(isinstance(layer, MixStyle) for layer in model.layers) == 2
