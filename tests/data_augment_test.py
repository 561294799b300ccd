"""Each step of the augmentation against PIL, against closed forms, and against its distribution."""

import colorsys
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from qtdog_tf.data import augment, colour

FACTORS = [0.0, 0.7, 0.93, 1.0, 1.1, 1.3]
crop_box = tf.function(
    augment.crop_box,
    input_signature=[
        *[tf.TensorSpec([], tf.int32)] * 2,
        *[tf.TensorSpec([10])] * 2,
        tf.TensorSpec([2]),
    ],
)
SIZES = [(31, 46), (64, 64), (200, 90)]


def an_image(height: int = 40, width: int = 50, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(picture)


def difference(actual: tf.Tensor, expected: object) -> np.ndarray:
    actual = np.asarray(actual)
    assert actual.dtype == np.uint8
    assert actual.shape == np.shape(expected)
    return np.abs(actual.astype(int) - np.asarray(expected).astype(int))


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize(
    ("ours", "pils"),
    [
        (colour.adjust_brightness, ImageEnhance.Brightness),
        (colour.adjust_contrast, ImageEnhance.Contrast),
        (colour.adjust_saturation, ImageEnhance.Color),
    ],
)
def test_enhancements_are_pils(ours: object, pils: object, factor: float) -> None:
    image = an_image()
    expected = pils(Image.fromarray(image)).enhance(factor)  # type: ignore[operator]
    apart = difference(ours(tf.constant(image), factor), expected)  # type: ignore[operator]
    # float32 sums may round the other way where the exact value is an integer.
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.01


def test_grey_is_pils() -> None:
    image = an_image()
    expected = Image.fromarray(image).convert("L").convert("RGB")
    assert difference(colour.to_grey(tf.constant(image)), expected).max() == 0


@pytest.mark.parametrize("shift", [-0.3, -0.1, 0.0, 0.05, 0.3, 1.0])
def test_hue_turns_on_the_circle(shift: float) -> None:
    image = an_image(12, 12)

    def turned(pixel: np.ndarray) -> list[float]:
        hue, saturation, value = colorsys.rgb_to_hsv(*(pixel / 255))
        return [255 * c for c in colorsys.hsv_to_rgb((hue + shift) % 1, saturation, value)]

    expected = np.apply_along_axis(turned, 2, image.astype(float))
    actual = colour.adjust_hue(tf.constant(image), shift).numpy()
    assert np.abs(actual - expected).max() < 0.51


def test_hue_is_torchvisions_up_to_pils_8_bit_hue() -> None:
    image = an_image()
    hsv = np.array(Image.fromarray(image).convert("HSV"))
    hsv[..., 0] += np.uint8(0.2 * 255)
    expected = Image.fromarray(hsv, mode="HSV").convert("RGB")
    apart = difference(colour.adjust_hue(tf.constant(image), 0.2), expected)
    assert apart.mean() < 1.5
    # Two steps of PIL's hue, of which one is 6 * 255 / 256 levels on an edge of the colour cube.
    assert apart.max() <= 12


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("size", [32, 64, 96])
def test_resize_is_pils_antialiased_bilinear(shape: tuple[int, int], size: int) -> None:
    image = an_image(*shape)
    expected = Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR)
    apart = difference(augment.resize_squash(tf.constant(image), size), expected)
    assert apart.max() <= 1


def test_resize_to_the_same_size_changes_nothing() -> None:
    image = an_image(64, 64)
    assert difference(augment.resize_squash(tf.constant(image), 64), image).max() == 0


def reference_box(
    height: int, width: int, area: np.ndarray, ratio: np.ndarray, corner: np.ndarray
) -> tuple[int, int, int, int]:
    """torchvision's RandomResizedCrop.get_params, fed with given draws."""
    for a, r in zip(area, ratio, strict=True):
        target = height * width * (0.7 + 0.3 * a)
        aspect = math.exp(math.log(3 / 4) + r * (math.log(4 / 3) - math.log(3 / 4)))
        w, h = round(math.sqrt(target * aspect)), round(math.sqrt(target / aspect))
        if 0 < w <= width and 0 < h <= height:
            return int(corner[0] * (height - h + 1)), int(corner[1] * (width - w + 1)), h, w
    if width / height < 3 / 4:
        w, h = width, round(width / (3 / 4))
    elif width / height > 4 / 3:
        w, h = round(height * (4 / 3)), height
    else:
        w, h = width, height
    return (height - h) // 2, (width - w) // 2, h, w


@given(height=st.integers(1, 600), width=st.integers(1, 600), seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=200)
def test_crop_box_is_torchvisions(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    draws = [rng.random(n, dtype=np.float32) for n in (10, 10, 2)]
    box = crop_box(height, width, *draws)
    expected = reference_box(height, width, *(d.astype(np.float64) for d in draws))
    # float32 may round a half the other way.
    assert np.abs(box.numpy() - expected).max() <= 1
    top, left, h, w = (int(edge) for edge in box)
    assert 0 <= top <= height - h
    assert 0 <= left <= width - w
    assert h > 0
    assert w > 0


def test_crop_box_reaches_both_edges() -> None:
    shapes = tf.constant(100), tf.constant(100)
    half = tf.fill([10], 0.5)
    last = float(np.nextafter(np.float32(1), np.float32(0)))
    top, left, h, w = augment.crop_box(*shapes, half, half, tf.constant([0.0, last])).numpy()
    assert (top, left + w) == (0, 100)
    assert h == w == round(math.sqrt(0.85) * 100)


def test_crop_falls_back_to_the_centre() -> None:
    whole = tf.ones([10])
    box = augment.crop_box(tf.constant(10), tf.constant(100), whole, whole, tf.zeros([2]))
    np.testing.assert_array_equal(box, [0, 43, 10, 13])
    box = augment.crop_box(tf.constant(100), tf.constant(10), whole, whole, tf.zeros([2]))
    np.testing.assert_array_equal(box, [43, 0, 13, 10])


def test_mirror_and_grey_follow_their_draws() -> None:
    image = tf.constant(an_image())
    assert difference(augment.mirror(image, tf.constant(0.49)), image[:, ::-1]).max() == 0
    assert difference(augment.mirror(image, tf.constant(0.5)), image).max() == 0
    assert difference(augment.random_grey(image, tf.constant(0.1)), image).max() == 0
    grey = augment.random_grey(image, tf.constant(0.09)).numpy()
    assert (grey == grey[..., :1]).all()


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0, 2), (2, 3, 1, 0)])
def test_jitter_applies_the_four_changes_in_order(order: tuple[int, ...]) -> None:
    draws = np.array([0.1, 0.9, 0.8, 0.3], np.float32)
    expected = tf.constant(an_image())
    amounts = np.float32(0.3) * (2 * draws - 1)
    for change in order:
        expected = [
            lambda image: colour.adjust_brightness(image, 1 + amounts[0]),
            lambda image: colour.adjust_contrast(image, 1 + amounts[1]),
            lambda image: colour.adjust_saturation(image, 1 + amounts[2]),
            lambda image: colour.adjust_hue(image, amounts[3]),
        ][change](expected)
    actual = augment.jitter_colours(tf.constant(an_image()), tf.constant(draws), tf.constant(order))
    assert difference(actual, expected).max() == 0


def test_jitter_ranges_are_domainbeds() -> None:
    image = tf.constant(an_image())
    lowest = augment.jitter_colours(image, tf.constant([0.0, 0.5, 0.5, 0.5]), tf.range(4))
    assert difference(lowest, colour.adjust_brightness(image, 0.7)).max() <= 1
    highest = augment.jitter_colours(image, tf.constant([0.5, 0.5, 0.5, 1.0]), tf.range(4))
    assert difference(highest, colour.adjust_hue(image, 0.3)).max() <= 1


def dark_and_bright() -> np.ndarray:
    """Left half dark grey, right half bright pink, which no change of colour can confuse."""
    image = np.full((48, 48, 3), 40, np.uint8)
    image[:, 24:] = (250, 130, 130)
    return image


@pytest.fixture(scope="module")
def augmented() -> np.ndarray:
    image = tf.constant(dark_and_bright())
    numbers = tf.data.Dataset.range(2000)
    results = numbers.map(
        lambda i: augment.domainbed_augment(image, 16, [tf.constant(7, tf.int64), i]),
        num_parallel_calls=2,
    )
    return np.stack(list(results.as_numpy_iterator()))


def test_augmentation_is_a_pure_function_of_the_seed(augmented: np.ndarray) -> None:
    again = augment.domainbed_augment(tf.constant(dark_and_bright()), 16, tf.constant([7, 123]))
    assert difference(again, augmented[123]).max() == 0
    assert len({image.tobytes() for image in augmented}) > 1980


def test_one_in_ten_is_grey_and_half_are_mirrored(augmented: np.ndarray) -> None:
    grey = (augmented == augmented[..., :1]).all(axis=(1, 2, 3))
    sums = augmented.sum(axis=(1, 3), dtype=float)
    mirrored = sums[:, 0] > sums[:, -1]
    # Four standard deviations of a fraction of 2,000.
    assert abs(grey.mean() - 0.1) < 4 * math.sqrt(0.1 * 0.9 / 2000)
    assert abs(mirrored.mean() - 0.5) < 4 * math.sqrt(0.25 / 2000)
    # The two are independent of each other.
    assert abs((grey & mirrored).mean() - 0.05) < 4 * math.sqrt(0.05 * 0.95 / 2000)


def test_crops_have_the_stated_areas() -> None:
    draws = np.random.default_rng(0).random((500, 10, 2), dtype=np.float32)
    boxes = [crop_box(500, 500, d[:, 0], d[:, 1], [0.5, 0.5]) for d in draws]
    heights, widths = np.array(boxes)[:, 2:].T
    areas, ratios = heights * widths / 500**2, widths / heights
    assert 0.695 < areas.min() < 0.71
    assert 0.93 < areas.max() <= 1
    assert 0.74 < ratios.min() < 0.8
    assert 1.3 < ratios.max() < 1.345
