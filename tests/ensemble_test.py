"""An ensemble predicts the average of what its members predict, before and after a file."""

from pathlib import Path

import keras
import numpy as np
import pytest

from qtdog_tf.ensemble import (
    AVERAGES,
    EnsembleAverage,
    build_ensemble,
    members_of,
    with_members,
)
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation.saved_model import load_saved_model
from qtdog_tf.models import build_classifier
from qtdog_tf.quantization import model_size, quantize, start_quantization
from qtdog_tf.quantization.wrapper import quantize_wrappers

SIZE, CLASSES = 32, 3
IMAGES = np.random.default_rng(0).integers(0, 256, (5, SIZE, SIZE, 3)).astype(np.float32)


def make_member(
    backbone: str = "tiny", bits: int | None = 7, seed: int = 0, classes: int = CLASSES
) -> keras.Model:
    model = build_classifier(backbone, classes, image_size=SIZE, weights=None, seed=seed)
    if bits is not None:
        model = quantize(model, bits=bits)
        start_quantization(model)
    return model


@pytest.fixture(scope="module")
def members() -> list[keras.Model]:
    """Two of equal names, another bit width, a float model of another backbone."""
    return [
        make_member(),
        make_member(seed=1),
        make_member(bits=3, seed=2),
        make_member("resnet18", None, seed=3),
    ]


def predict(model: keras.Model) -> np.ndarray:
    # Not `predict`: TensorFlow warns of a process that traces many.
    return model(IMAGES, training=False).numpy()


def softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shares / shares.sum(axis=-1, keepdims=True)


def test_logits_are_averaged_as_the_paper_says(members: list[keras.Model]) -> None:
    expected = np.mean([predict(member).astype(np.float64) for member in members], axis=0)
    np.testing.assert_allclose(predict(build_ensemble(members)), expected, rtol=1e-5, atol=1e-6)


def test_averaged_probabilities_come_as_their_logarithm(members: list[keras.Model]) -> None:
    shares = [softmax(predict(member).astype(np.float64)) for member in members]
    logits = predict(build_ensemble(members, "probabilities"))
    np.testing.assert_allclose(logits, np.log(np.mean(shares, axis=0)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.exp(logits).sum(axis=1), 1, rtol=1e-5)


def test_probabilities_that_float32_cannot_hold_keep_their_order() -> None:
    sure = np.array([[400.0, 100.0, 0.0]], np.float32)
    logits = EnsembleAverage("probabilities")([sure, sure]).numpy()
    np.testing.assert_allclose(logits, [[0.0, -300.0, -400.0]], atol=1e-4)


@pytest.mark.parametrize("average", AVERAGES)
def test_the_file_gives_the_same_bits(
    members: list[keras.Model], tmp_path: Path, average: str
) -> None:
    ensemble = build_ensemble(members, average)
    ensemble.save(tmp_path / "ensemble.keras")
    loaded = load_saved_model(tmp_path / "ensemble.keras")
    np.testing.assert_array_equal(predict(loaded), predict(ensemble))
    assert loaded.layers[-1].average == average
    parts = predict(with_members(loaded))
    assert parts.shape == (len(IMAGES), len(members) + 1, CLASSES)
    for number, member in enumerate(members):
        np.testing.assert_array_equal(parts[:, number], predict(member))
        np.testing.assert_array_equal(predict(members_of(loaded)[number]), predict(member))
    np.testing.assert_array_equal(parts[:, -1], predict(ensemble))
    # Again: a loaded ensemble is as good as the first.
    loaded.save(tmp_path / "again.keras")
    again = load_saved_model(tmp_path / "again.keras")
    np.testing.assert_array_equal(predict(again), predict(ensemble))


def test_members_have_names_of_their_own_and_keep_modes_and_bits(
    members: list[keras.Model], tmp_path: Path
) -> None:
    names = [member.name for member in members]
    assert len(set(names)) < len(names)
    build_ensemble(members).save(tmp_path / "ensemble.keras")
    loaded = load_saved_model(tmp_path / "ensemble.keras")
    assert [member.name for member in members] == names
    assert [layer.name for layer in loaded.layers] == ["image", "m0", "m1", "m2", "m3", "average"]
    bits = [
        {
            q.bits
            for w in quantize_wrappers(member)
            for _, q, _ in w.quantized_weights
            if w.quantizes
        }
        for member in members_of(loaded)
    ]
    assert bits == [{7}, {7}, {3}, set()]
    assert model_size(loaded).weights == sum(model_size(member).weights for member in members)


def test_switched_off_members_stay_off(tmp_path: Path) -> None:
    off = quantize(build_classifier("tiny", CLASSES, image_size=SIZE, weights=None), bits=2)
    build_ensemble([off, make_member(bits=2)]).save(tmp_path / "ensemble.keras")
    one, other = members_of(load_saved_model(tmp_path / "ensemble.keras"))
    np.testing.assert_array_equal(predict(one), predict(off))
    assert np.abs(predict(one) - predict(other)).max() > 1e-3


def test_what_does_not_fit_is_refused() -> None:
    member = make_member()
    with pytest.raises(UserError, match="two or more members; received 1"):
        build_ensemble([member])
    with pytest.raises(UserError, match="a member of the ensemble twice"):
        build_ensemble([member, make_member(), member])
    with pytest.raises(UserError, match="member 1 .* gives .*4.*member 0 .* gives .*3"):
        build_ensemble([member, make_member(classes=4)])
    smaller = build_classifier("tiny", CLASSES, image_size=16, weights=None)
    with pytest.raises(UserError, match="member 1 .* takes .*16.*member 0 takes .*32"):
        build_ensemble([member, smaller])
    with pytest.raises(UserError, match="average must be one of logits, probabilities"):
        build_ensemble([member, make_member()], "votes")
    with pytest.raises(ValueError, match="average must be one of"):
        EnsembleAverage("votes")

    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(UserError, match="member 1 of the ensemble is a Own"):
        build_ensemble([member, Own()])
