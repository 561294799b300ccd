"""File and model agree if they name the same classes, with probabilities that are numbers."""

import dataclasses
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers

from qtdog_tf.export import ImageSet
from qtdog_tf.export.checks.agreement import Agreement, check_agreement, compare, summary


def agreement(domain: str, images: int, same: float) -> Agreement:
    return Agreement(domain, "source", images, same, 0.5, 0.5, 0.01 * images, 0.1 * images)


def test_agreement_is_counted_over_all_images() -> None:
    found = [agreement("a", 1, 0.0), agreement("b", 3, 1.0)]
    assert check_agreement(found, 0.75).passed
    check = check_agreement(found, 0.76)
    assert not check.passed and check.value == 0.75
    assert check.detail == "same class on 75.00 % of 4 images, 76 % needed"
    assert summary(found) == {
        "mean_difference": pytest.approx((0.01 + 3 * 0.03) / 4),
        "max_difference": pytest.approx(0.3),
    }


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_probabilities_that_are_no_numbers_are_no_agreement(broken: float) -> None:
    image = keras.Input((2, 2, 3))
    model = keras.Model(image, layers.Dense(2)(layers.Flatten()(image)))
    pixels = np.zeros((4, 2, 2, 3), np.uint8)
    images = [ImageSet("a", "source", pixels, np.zeros(4, np.int32))]
    given = np.tile(np.float32([0.5, 0.5]), (4, 1))
    whole = compare(model, SimpleNamespace(predict=lambda batch: given), images)
    assert whole[0].not_finite == 0 and check_agreement(whole, 0.0).passed
    given[1] = broken
    found = compare(model, SimpleNamespace(predict=lambda batch: given), images)
    assert dataclasses.astuple(found[0])[3:] == (0.75, 1.0, 0.75, 0.25, 1.0, 1)
    check = check_agreement(found, 0.0)
    assert not check.passed and check.detail.endswith("; probabilities of 1 are no finite numbers")
    model.set_weights([np.full((12, 2), np.nan), np.full(2, np.nan)])
    found = compare(model, SimpleNamespace(predict=lambda batch: given), images)
    assert (found[0].not_finite, found[0].same_class, found[0].model_accuracy) == (4, 0.0, 0.0)
