"""The classifier that is trained: its head, its seeds, its inputs, its errors."""

import random

import keras
import numpy as np
import pytest

from qtdog_tf.errors import UserError
from qtdog_tf.models import FrozenBatchNormalization, build_backbone, build_classifier


def _tiny(**kwargs: object) -> keras.Model:
    return build_classifier("tiny", 400, image_size=16, weights=None, **kwargs)


def test_head_starts_uniform_within_one_over_root_features() -> None:
    kernel, bias = _tiny().get_layer("head").get_weights()
    limit = 1 / np.sqrt(16)
    for values in (kernel, bias):
        assert np.abs(values).max() <= limit
        assert np.abs(values).max() > 0.95 * limit
        np.testing.assert_allclose(values.std(), limit / np.sqrt(3), rtol=0.1)
    assert not np.allclose(kernel[0], bias)


def test_weights_are_a_function_of_the_seed_alone() -> None:
    first = _tiny(seed=3).get_weights()
    random.seed(99)
    again, other = _tiny(seed=3).get_weights(), _tiny(seed=4).get_weights()
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(np.any(a != b) for a, b in zip(first, other, strict=True))


def test_building_leaves_the_callers_random_numbers_alone() -> None:
    random.seed(1)
    expected = random.random()
    random.seed(1)
    _tiny()
    assert random.random() == expected


def test_layers_of_equal_shape_start_different() -> None:
    model = build_backbone("efficientnet_lite0", image_size=32, weights=None)
    kernels = [model.get_layer(f"block5{i}_expand_conv").get_weights()[0] for i in "bc"]
    assert kernels[0].shape == kernels[1].shape
    assert np.any(kernels[0] != kernels[1])


def test_uint8_and_float_pixels_give_the_same_logits() -> None:
    model = _tiny()
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    np.testing.assert_array_equal(model(pixels), model(pixels.astype(np.float32)))


@pytest.mark.parametrize("frozen", [True, False])
def test_batch_norm_is_frozen_on_request(frozen: bool) -> None:
    model = _tiny(freeze_batch_norm=frozen)
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert len(norms) == 4
    assert all(isinstance(x, FrozenBatchNormalization) == frozen for x in norms)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = norms[0].get_weights()[2]
    model.fit(np.full((4, 16, 16, 3), 200.0), np.zeros(4), verbose=0)
    assert np.array_equal(norms[0].get_weights()[2], before) == frozen


def test_dropout_acts_in_training_only() -> None:
    model = _tiny(dropout=0.5)
    x = np.random.default_rng(0).uniform(0, 255, (8, 16, 16, 3))
    assert np.any(np.asarray(model(x, training=True)) != np.asarray(model(x, training=False)))
    np.testing.assert_allclose(model(x, training=False), _tiny()(x), rtol=1e-6)


def test_logits_are_float32_under_mixed_precision() -> None:
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = _tiny()
    finally:
        keras.config.set_dtype_policy(policy)
    assert model.get_layer("stem_conv").compute_dtype == "bfloat16"
    assert model.output.dtype == "float32"
    x = np.random.default_rng(0).uniform(0, 255, (8, 16, 16, 3))
    np.testing.assert_allclose(model(x), _tiny()(x), atol=0.05)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_classes": 1}, "at least 2 classes, not 1"),
        ({"image_size": 4}, "at least 8 pixels, not 4"),
        ({"dropout": 1.0}, "less than 1, not 1.0"),
        ({"backbone": "resnet42"}, "unknown backbone 'resnet42'; choose one of deit_small, "),
        ({"weights": "imagenet"}, "'tiny' has no pretrained weights"),
    ],
)
def test_bad_values_are_one_sentence(kwargs: dict[str, object], message: str) -> None:
    values = {"backbone": "tiny", "num_classes": 3, "image_size": 16, "weights": None, **kwargs}
    with pytest.raises(UserError, match=message):
        build_classifier(**values)
