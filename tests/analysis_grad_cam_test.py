"""Grad-CAM against closed forms, on float, quantized and nested models."""

import json

import keras
import numpy as np
import pytest
from keras import layers

from qtdog_tf.analysis.grad_cam import grad_cam, grad_cam_result
from qtdog_tf.analysis.layer_outputs import convolution_maps
from qtdog_tf.analysis.samples import Sample
from qtdog_tf.ensemble import build_ensemble, members_of
from qtdog_tf.errors import UserError
from qtdog_tf.models import build_classifier
from qtdog_tf.quantization import quantize, quantize_wrappers, start_quantization

SIZE, STRIDE, CHANNELS, CLASSES = 16, 4, 5, 3
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (7, SIZE, SIZE, 3)).astype(np.uint8)


def small(seed: int = 0, activation: bool = False, stride: int = STRIDE) -> keras.Model:
    """A 1x1 convolution, the mean over all places, and a linear layer: y = mean(A) @ head + b."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(CHANNELS, 1, stride, name="conv")(image)
    if activation:
        x = layers.ReLU(name="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(CLASSES, name="head")(x), name="small")


def quantized(model: keras.Model, bits: int) -> keras.Model:
    model = quantize(model, bits=bits)
    start_quantization(model)
    return model


def maps_of(kernel: np.ndarray, bias: np.ndarray, stride: int = STRIDE) -> np.ndarray:
    """A [n, h, w, k] of `small`, in float64."""
    return PIXELS[:, ::stride, ::stride].astype(np.float64) @ kernel[0, 0] + bias


def min_max(cam: np.ndarray) -> np.ndarray:
    low, high = (f(cam, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
    return (cam - low) / np.where(high > low, high - low, 1)


def bilinear(image: np.ndarray, size: int) -> np.ndarray:
    """Bilinear upsampling of [h, h] to [size, size], pixel centres at one half, place by place."""
    places = (np.arange(size) + 0.5) * len(image) / size - 0.5
    low = np.floor(places).astype(int)
    part = places - low
    last = len(image) - 1
    below, above = np.clip(low, 0, last), np.clip(low + 1, 0, last)
    rows = image[below] * (1 - part)[:, None] + image[above] * part[:, None]
    return rows[:, below] * (1 - part) + rows[:, above] * part


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_closed_form(seed: int) -> None:
    """dy_c / dA_k is head_kc / (h w) everywhere: the map is ReLU(sum_k head_kc A_k), scaled."""
    model = small(seed)
    kernel, bias, head, _ = model.get_weights()
    maps = maps_of(kernel, bias)
    labels = RNG.integers(0, CLASSES, len(PIXELS))
    for classes in (None, labels):
        found = grad_cam(model, PIXELS, classes)
        np.testing.assert_allclose(found.scores, model.predict(PIXELS, verbose=0), rtol=1e-5)
        wanted = found.scores.argmax(axis=1) if classes is None else classes
        cam = np.maximum(np.einsum("nhwk,nk->nhw", maps, head.T[wanted]), 0)
        assert (found.layer, found.map) == ("conv", (4, 4))
        np.testing.assert_allclose(found.coarse, min_max(cam), atol=1e-5)
        heat = min_max(np.stack([bilinear(one, SIZE) for one in cam]))
        np.testing.assert_allclose(found.heat, heat, atol=1e-5)
        assert found.heat.dtype == np.float32 and found.heat.shape == PIXELS.shape[:3]


def test_it_is_the_output_of_the_convolution_before_the_activation() -> None:
    """With a ReLU behind it, dy_c / dA_k is head_kc / (h w) where A_k > 0, else 0."""
    model = small(3, activation=True)
    kernel, bias, head, _ = model.get_weights()
    maps = maps_of(kernel, bias)
    found = grad_cam(model, PIXELS)
    alpha = head.T[found.scores.argmax(axis=1)] * np.mean(maps > 0, axis=(1, 2))
    cam = np.maximum(np.einsum("nhwk,nk->nhw", maps, alpha), 0)
    np.testing.assert_allclose(found.coarse, min_max(cam), atol=1e-5)


def test_of_a_quantized_model_it_is_that_of_the_codes() -> None:
    model = quantized(small(1), bits=2)
    ((weight, quantizer, variables),) = quantize_wrappers(model)[0].quantized_weights
    on_lattice = quantizer(weight, False, variables).numpy()
    bias = quantize_wrappers(model)[0].layer.bias.numpy()
    head = model.get_layer("head").kernel.numpy()
    assert np.abs(on_lattice - weight.numpy()).max() > 0.05
    found = grad_cam(model, PIXELS)
    wanted = head.T[found.scores.argmax(axis=1)]
    cam = np.maximum(np.einsum("nhwk,nk->nhw", maps_of(on_lattice, bias), wanted), 0)
    np.testing.assert_allclose(found.coarse, min_max(cam), atol=1e-5)
    assert found.layer == "conv"
    # Looking at it changes nothing: the model runs and saves as before.
    assert not any("call" in vars(layer) for layer in model._flatten_layers())
    np.testing.assert_allclose(found.scores, model.predict(PIXELS, verbose=0), rtol=1e-5)


def test_a_constant_map_gives_zeros() -> None:
    model = small()
    kernel, bias, head, _ = model.get_weights()
    # Nothing speaks for the class; then everything does alike.
    for sign in (-1, 1):
        model.set_weights([0 * kernel, 0 * bias + 1, sign * np.abs(head), np.zeros(CLASSES)])
        found = grad_cam(model, PIXELS)
        assert not found.heat.any() and not found.coarse.any()


def test_a_nested_model_and_more_images_than_a_batch() -> None:
    flat = quantized(build_classifier("tiny", 3, image_size=16, weights=None), bits=4)
    image = keras.Input((16, 16, 3))
    nested = keras.Model(image, flat(image))
    many = np.concatenate([PIXELS] * 3)
    ours, theirs = grad_cam(nested, many), grad_cam(flat, PIXELS)
    assert ours.layer == "top_conv" and ours.map == (8, 8)
    for name in ("heat", "coarse", "scores"):
        expected = np.concatenate([getattr(theirs, name)] * 3)
        np.testing.assert_allclose(getattr(ours, name), expected, atol=1e-4)
    assert [(layer.name, size) for layer, size in convolution_maps(flat, PIXELS[:1]).items()] == [
        (name, (8, 8))
        for name in ("stem_conv", "block_depthwise", "block_project_conv", "top_conv")
    ]


def test_the_last_convolution_with_a_large_enough_map() -> None:
    image = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(2, 3, 2, "same", name="eight")(image)
    x = layers.Conv2D(2, 3, 2, "same", name="four")(x)
    x = layers.Conv2D(2, 3, 2, "same", name="two")(x)
    model = keras.Model(image, layers.Dense(2)(layers.Flatten()(x)), name="pyramid")
    assert grad_cam(model, PIXELS).layer == "four"
    named = grad_cam(model, PIXELS, layer="two")
    assert named.map == (2, 2) and named.coarse.shape == (7, 2, 2)
    with pytest.raises(
        UserError,
        match="'pyramid' has no convolution called 'six'; "
        r"it has eight \(8 x 8\), four \(4 x 4\), two \(2 x 2\)",
    ):
        grad_cam(model, PIXELS, layer="six")
    with pytest.raises(UserError, match=r"no convolution with a map of 4 x 4; it has conv \(2 x 2"):
        grad_cam(small(stride=8), PIXELS)


def test_a_layer_that_is_used_twice_has_no_one_map() -> None:
    image = keras.Input((SIZE, SIZE, 3))
    first = layers.Conv2D(2, 1, name="first")(image)
    twice = layers.Conv2D(2, 1, name="twice")
    x = layers.Flatten()(twice(twice(first)))
    model = keras.Model(image, layers.Dense(2)(x))
    assert grad_cam(model, PIXELS[:1]).layer == "first"


def test_an_ensemble_is_refused_and_its_members_are_not() -> None:
    models = [small(seed) for seed in (0, 1)]
    ensemble = build_ensemble(models)
    with pytest.raises(UserError, match="is an ensemble.*ask for one of m0, m1"):
        grad_cam(ensemble, PIXELS)
    for model, member in zip(models, members_of(ensemble), strict=True):
        np.testing.assert_array_equal(grad_cam(member, PIXELS).heat, grad_cam(model, PIXELS).heat)


def sample(domain: str, role: str, part: str, labels: list[int], seed: int) -> Sample:
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), SIZE, SIZE, 3))
    paths = tuple(f"{domain}/{i}.png" for i in range(len(labels)))
    return Sample(domain, role, part, paths, pixels.astype(np.uint8), np.array(labels, np.int32))


def test_a_few_images_of_each_class() -> None:
    names = ("face", "hand", "vehicle")
    line = sample("line", "target", "all", [0, 0, 0, 1, 1, 2], 1)
    other = sample("render3d", "target", "all", [2, 2, 1], 2)
    samples = [sample("flat", "source", "out", [0, 1, 2], 3), line, other]
    model = small()
    found = grad_cam_result(model, samples, names, images=6, seed=5)
    assert found["layer"] == "conv" and found["map"] == [4, 4] and found["score"] == "predicted"
    assert [row["truth"] for row in found["images"]] == [n for n in names for _ in range(2)]
    alone = {"line": grad_cam(model, line.pixels), "render3d": grad_cam(model, other.pixels)}
    for row in found["images"]:
        domain, index = row["path"].removesuffix(".png").split("/")
        whole, i = alone[domain], int(index)
        labels = {"line": line, "render3d": other}[domain].labels
        assert row["domain"] == domain and row["truth"] == names[labels[i]]
        probabilities = np.exp(whole.scores[i] - whole.scores[i].max())
        probabilities /= probabilities.sum()
        assert row["predicted"] == names[probabilities.argmax()]
        assert row["confidence"] == pytest.approx(probabilities.max(), rel=1e-5)
        np.testing.assert_allclose(row["heat"], whole.coarse[i], atol=0.00051)
    # The choice is that of the seed, whatever the model; another seed chooses others.
    chosen = [
        [row["path"] for row in grad_cam_result(m, samples, images=6, seed=seed)["images"]]
        for m, seed in ((small(1), 5), (model, 6))
    ]
    assert chosen[0] == [row["path"] for row in found["images"]] != chosen[1]
    json.dumps(found, allow_nan=False)


def test_true_classes_and_runs_without_a_target() -> None:
    out = sample("flat", "source", "out", [0, 1, 2, 0], 3)
    model = small()
    found = grad_cam_result(model, [sample("flat", "source", "in", [0], 4), out], score="true")
    assert found["score"] == "true" and len(found["images"]) == 4
    whole = grad_cam(model, out.pixels, out.labels)
    for row in found["images"]:
        i = int(row["path"].removesuffix(".png").split("/")[1])
        assert (row["truth"], row["predicted"]) == (out.labels[i], whole.scores[i].argmax())
        np.testing.assert_allclose(row["heat"], whole.coarse[i], atol=0.00051)


def test_what_cannot_be_done_is_one_sentence() -> None:
    line = sample("line", "target", "all", [0], 1)
    with pytest.raises(UserError, match="score must be one of predicted, true; received 'best'"):
        grad_cam_result(small(), [line], score="best")
    for samples, images in (([], 12), ([line], 0)):
        with pytest.raises(UserError, match="needs one image or more"):
            grad_cam_result(small(), samples, images=images)
