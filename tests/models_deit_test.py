"""DeiT against float64 NumPy, and against timm's features (golden/make_model_goldens.py)."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import save_file

from qtdog_tf.errors import UserError
from qtdog_tf.models import build_backbone
from qtdog_tf.models.deit import SMALL, Variant, deit, load_weights, resize_positions, torch_names
from qtdog_tf.quantization import QuantizeWrapper, all_but, quantize, start_quantization
from tests.deit_reference import features
from tests.models_synthetic import synthetic_image, synthetic_tensor

GOLDEN = json.loads(Path(__file__).with_name("golden").joinpath("deit.json").read_text())
TINY = Variant(width=24, blocks=2, heads=2)
TENSORS = {name: synthetic_tensor(name, shape) for name, shape in GOLDEN["tensors"].items()}
PIXELS = np.random.default_rng(0).uniform(0, 255, (3, 48, 48, 3)).astype(np.float32)


def tiny_deit(size: int = 48, tensors: dict[str, np.ndarray] = TENSORS) -> keras.Model:
    model = deit("deit", size, TINY)
    load_weights(model, tensors, TINY, source="the tensors")
    return model


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_the_whole_forward_pass_is_that_of_numpy(scale: float) -> None:
    # With larger weights attention is peaked and GELU is far from its middle.
    tensors = {n: v * np.float32(scale if v.ndim == 2 else 1) for n, v in TENSORS.items()}
    expected = np.stack([features(tensors, image.astype(np.float64), 2) for image in PIXELS])
    found = np.asarray(tiny_deit(tensors=tensors)(PIXELS, training=True))
    assert np.ptp(expected, axis=0).min() > 0.05
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_gradients_are_the_slopes_of_numpy() -> None:
    """Along three directions through all tensors, by central differences in float64."""
    rng = np.random.default_rng(1)
    mix = rng.normal(size=(3, TINY.width))

    def loss(tensors: dict[str, np.ndarray]) -> float:
        found = np.stack([features(tensors, image.astype(np.float64), 2) for image in PIXELS])
        return float((mix * found).sum())

    model = tiny_deit()
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(tf.constant(mix, tf.float32) * model(PIXELS, training=True))
    variables = model.trainable_variables
    gradients = tape.gradient(value, [variable.value for variable in variables])
    start = [variable.numpy() for variable in variables]
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)
    for _ in range(3):
        direction = {n: rng.normal(size=v.shape) for n, v in TENSORS.items()}
        # Reading tensors is linear: the difference is the direction in the model's own order.
        shifted = {n: (v + direction[n]).astype(np.float32) for n, v in TENSORS.items()}
        load_weights(model, shifted, TINY, source="the tensors")
        slope = sum(
            float(np.sum(np.asarray(g, np.float64) * (v.numpy().astype(np.float64) - s)))
            for g, v, s in zip(gradients, variables, start, strict=True)
        )
        small = 1e-5
        ends = [
            {n: v + sign * small * direction[n] for n, v in TENSORS.items()} for sign in (1, -1)
        ]
        expected = (loss(ends[0]) - loss(ends[1])) / (2 * small)
        assert slope == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("size", [32, 48, 80])
def test_features_are_those_of_timm_also_at_other_sizes(size: int) -> None:
    found = np.asarray(tiny_deit(size)(synthetic_image(size)[None]))[0]
    np.testing.assert_allclose(found, GOLDEN["features"][str(size)], rtol=1e-4, atol=1e-4)


def test_positions_of_the_same_size_stay_and_the_class_tokens_always_does() -> None:
    positions = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
    assert resize_positions(positions, 3) is positions
    np.testing.assert_array_equal(resize_positions(positions, 5)[0], positions[0])
    flat = np.full((10, 4), 0.7, np.float32)
    np.testing.assert_allclose(resize_positions(flat, 7), np.full((50, 4), 0.7), rtol=1e-6)


def test_every_dense_layer_in_the_blocks_gets_codes_a_channel() -> None:
    body = tiny_deit()
    head = keras.layers.Dense(3, name="head")(body.output)
    model = quantize(keras.Model(body.input, head), all_but("head"), bits=4)
    before = np.asarray(model(PIXELS))
    start_quantization(model)
    wrapped = {x.layer.name: x for x in model.layers if isinstance(x, QuantizeWrapper)}
    parts = ("qkv", "proj", "fc1", "fc2")
    assert set(wrapped) == {"patch_embed", *(f"block{i}_{p}" for i in (0, 1) for p in parts)}
    for wrapper in wrapped.values():
        ((weight, quantizer, variables),) = wrapper.quantized_weights
        assert variables["step_size"].shape[-1] == weight.shape[-1]
        assert np.prod(variables["step_size"].shape) == weight.shape[-1]
        codes = quantizer.codes(weight, variables).numpy()
        assert all(
            1 < len(np.unique(column)) <= 16 for column in codes.reshape(-1, codes.shape[-1]).T
        )
    # Each layer runs on its codes: the float model with codes times step sizes in it says the same.
    plain = {layer.name: layer for layer in keras.Model(body.input, head).layers}
    for name, wrapper in wrapped.items():
        ((weight, quantizer, variables),) = wrapper.quantized_weights
        codes = quantizer.codes(weight, variables).numpy()
        plain[name]._kernel.assign(codes * variables["step_size"].numpy())
    expected = np.asarray(keras.Model(body.input, head)(PIXELS))
    np.testing.assert_allclose(model(PIXELS), expected, rtol=1e-5, atol=1e-5)
    assert np.abs(expected - before).max() > 1e-2


def test_deit_small_has_the_published_counts() -> None:
    model = build_backbone("deit_small", image_size=32, weights=None)
    # 22,050,664 with the 1000 classes of ImageNet, at 224 pixels: 197 tokens instead of 5.
    assert model.count_params() == 22_050_664 - 385 * 1000 - (197 - 5) * 384
    assert sum(isinstance(layer, keras.layers.Dense) for layer in model.layers) == 4 * 12
    assert model.output.shape == (None, 384)
    assert set(torch_names(SMALL)) | {"tokens"} == {x.name for x in model.layers if x.weights}
    assert all(x.epsilon == 1e-6 for x in model.layers if "norm" in x.name and x.weights)


def changed(**tensors: np.ndarray | None) -> dict[str, np.ndarray]:
    return {k: v for k, v in {**TENSORS, **tensors}.items() if v is not None}


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (changed(pos_embed=None), "it has no tensor 'pos_embed'"),
        (changed(dist_token=np.zeros((1, 1, 24))), "it has a tensor 'dist_token' too many"),
        (changed(cls_token=np.zeros((1, 1, 48))), "'cls_token' has shape .1, 1, 48."),
        (changed(pos_embed=np.zeros((1, 9, 24))), "'pos_embed' has shape .1, 9, 24., which is no"),
        (changed(cls_token=np.full((1, 1, 24), np.nan)), "the file is damaged"),
        (changed(**{"norm.bias": np.zeros(12)}), r"'norm.bias' has shape \[12\].* layer 'norm'"),
    ],
)
def test_weights_that_do_not_fit_are_named_and_change_nothing(
    tensors: dict[str, np.ndarray], message: str
) -> None:
    model = deit("deit", 48, TINY)
    before = model.get_weights()
    with pytest.raises(UserError, match=message):
        load_weights(model, tensors, TINY, source="the file")
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_backbone_asks_for_weights_and_for_whole_patches(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="patches of 16 pixels: image_size .* not 40"):
        build_backbone("deit_small", image_size=40, weights=None)
    with pytest.raises(UserError, match="hand in weights=<path> .*deit_small_patch16_224"):
        build_backbone("deit_small", image_size=32)
    save_file(TENSORS, tmp_path / "tiny.safetensors")
    with pytest.raises(UserError, match="'cls_token' has shape .1, 1, 24., .* a width of 384"):
        build_backbone("deit_small", image_size=32, weights=tmp_path / "tiny.safetensors")


def test_a_saved_model_is_the_same(tmp_path: Path) -> None:
    model = tiny_deit()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(PIXELS), model(PIXELS))
