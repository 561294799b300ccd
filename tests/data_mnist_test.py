"""The variants of MNIST: the format, and rotation and colours against a second implementation."""

import gzip
import io
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from qtdog_tf.data.catalog import CATALOG
from qtdog_tf.data.mnist import (
    MNIST_VARIANTS,
    IdxSource,
    checksum_findings,
    find_idx_files,
    variant_images,
)
from qtdog_tf.data.mnist.checksums import CHECKSUMS
from qtdog_tf.data.mnist.idx import MAX_IMAGES
from qtdog_tf.data.mnist.variants import (
    COLOUR_NOISE,
    assign_domains,
    colour_labels,
    paint,
    rotate,
)
from qtdog_tf.errors import UserError
from tests.idx_files import digits, idx_bytes, write_idx_files


def zipped(contents: bytes) -> bytes:
    # Without the time: the bytes are in names of tests, which have to be equal in all processes.
    return gzip.compress(contents, mtime=0)


def rotated_reference(image: np.ndarray, degrees: float) -> np.ndarray:
    """Bilinear rotation about the centre in float64; NaN where the border is involved."""
    edge = len(image)
    centre, angle = (edge - 1) / 2, np.deg2rad(degrees)
    y, x = np.mgrid[:edge, :edge] - centre
    # Anticlockwise on the screen, where y points down: each pixel looks where it comes from.
    from_x = np.cos(angle) * x - np.sin(angle) * y + centre
    from_y = np.sin(angle) * x + np.cos(angle) * y + centre
    left, top = np.floor(from_x).astype(int), np.floor(from_y).astype(int)
    right, down = from_x - left, from_y - top
    inside = (left >= 0) & (top >= 0) & (left < edge - 1) & (top < edge - 1)
    left, top = np.clip(left, 0, edge - 2), np.clip(top, 0, edge - 2)
    upper = image[top, left] * (1 - right) + image[top, left + 1] * right
    lower = image[top + 1, left] * (1 - right) + image[top + 1, left + 1] * right
    return np.where(inside, upper * (1 - down) + lower * down, np.nan)


@pytest.mark.parametrize("degrees", [15, 30, 45, 60, 75])
def test_rotation_is_bilinear_and_anticlockwise(degrees: int) -> None:
    image = digits(3, degrees)[0][2]
    found, expected = rotate(image, degrees).astype(float), rotated_reference(image, degrees)
    inside = ~np.isnan(expected)
    assert inside.mean() > 0.75
    assert np.abs(found - expected)[inside].max() <= 1


def test_rotation_by_nothing_and_by_a_quarter_is_exact() -> None:
    image = digits(1, 0)[0][0]
    np.testing.assert_array_equal(rotate(image, 0), image)
    np.testing.assert_array_equal(rotate(image, 90), np.rot90(image))
    assert rotate(np.full((28, 28), 255, np.uint8), 45)[0, 0] == 0
    assert not np.array_equal(rotate(image, 15, "bicubic"), rotate(image, 15))


@given(st.integers(1, 300), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_domains_are_dealt_out_like_slices(n: int, domains: int, seed: int) -> None:
    of_image = assign_domains(n, domains, seed)
    order = np.random.RandomState([seed, 0]).permutation(n)
    for i in range(domains):
        assert set(np.flatnonzero(of_image == i)) == set(order[i::domains])


def test_permutation_is_the_same_everywhere() -> None:
    vector = [2, 0, 0, 1, 1, 1, 1, 2, 2, 2, 0, 0]
    assert assign_domains(12, 3, 0).tolist() == vector
    assert assign_domains(12, 3, 1).tolist() != vector


def test_real_sizes_are_those_of_the_catalogue() -> None:
    for name in MNIST_VARIANTS:
        entry = CATALOG[name]
        of_image = assign_domains(70_000, len(entry.domains), 0)
        assert tuple(np.bincount(of_image)) == entry.counts[0].images


def test_colours_follow_the_two_flips() -> None:
    labels = np.arange(70_000, dtype=np.uint8) % 10
    noise = np.repeat(COLOUR_NOISE, [30_000, 20_000, 20_000])
    kinds, colours = colour_labels(labels, noise, seed=0)
    draws = np.random.RandomState([0, 1]).random_sample((70_000, 2))
    for i in range(200):
        expected = int(labels[i] < 5) if draws[i, 0] >= 0.25 else 1 - int(labels[i] < 5)
        assert kinds[i] == expected
        assert colours[i] == (expected if draws[i, 1] >= noise[i] else 1 - expected)
    # Within five standard errors of what the probabilities say.
    assert abs((kinds != (labels < 5)).mean() - 0.25) < 5 * (0.25 * 0.75 / 70_000) ** 0.5
    for e in COLOUR_NOISE:
        chosen = noise == e
        spread = 5 * (e * (1 - e) / chosen.sum()) ** 0.5
        assert abs((kinds != colours)[chosen].mean() - e) < spread


def test_paint_zeroes_the_other_channels() -> None:
    image = digits(1, 0)[0][0]
    for colour in (0, 1):
        painted = paint(image, colour)
        np.testing.assert_array_equal(painted[..., colour], image)
        assert painted.sum() == image.sum()


@pytest.mark.parametrize("suffix", [".gz", ""])
def test_rotated_images_come_from_both_files(tmp_path: Path, suffix: str) -> None:
    source = IdxSource.open(write_idx_files(tmp_path, 40, 11, suffix))
    images = np.concatenate([digits(40, 0)[0], digits(11, 1)[0]])
    labels = np.concatenate([digits(40, 0)[1], digits(11, 1)[1]])
    made = list(variant_images("rotated_mnist", source, seed=3))
    assert [image.name for image in made] == [f"{i:05d}.png" for i in range(51)]
    of_image = assign_domains(51, 6, 3)
    for i, image in enumerate(made):
        assert (image.domain, image.kind) == (str(15 * of_image[i]), str(labels[i]))
        pixels = np.asarray(Image.open(io.BytesIO(image.png)))
        np.testing.assert_array_equal(pixels, rotate(images[i], 15 * of_image[i]))
    one = list(variant_images("rotated_mnist", source, seed=3, domain="45"))
    assert one == [image for image in made if image.domain == "45"]


def test_coloured_images_have_one_channel(tmp_path: Path) -> None:
    source = IdxSource.open(write_idx_files(tmp_path))
    made = list(variant_images("colored_mnist", source))
    assert {image.domain for image in made} == {"flip10", "flip20", "flip90"}
    assert {image.kind for image in made} == {"0", "1"}
    kinds, colours = colour_labels(
        source.labels, np.array(COLOUR_NOISE)[assign_domains(80, 3, 0)], 0
    )
    for i, image in enumerate(made):
        pixels = np.asarray(Image.open(io.BytesIO(image.png)))
        assert image.kind == str(kinds[i])
        assert pixels.any(axis=(0, 1)).tolist() == [colours[i] == 0, colours[i] == 1, False]


def test_files_are_found_where_torchvision_puts_them(tmp_path: Path) -> None:
    write_idx_files(tmp_path / "MNIST" / "raw", suffix="")
    assert find_idx_files(tmp_path)["t10k-labels"].name == "t10k-labels-idx1-ubyte"
    (tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte").unlink()
    (tmp_path / "MNIST/raw/train-images-idx3-ubyte").unlink()
    with pytest.raises(UserError, match=r"lacks train-images-idx3-.*, t10k-labels-idx1-ubyte.gz:"):
        find_idx_files(tmp_path)


LABELS = idx_bytes(np.arange(8) % 10)
IMAGES = idx_bytes(np.zeros((8, 28, 28)))
HUGE = bytes([0, 0, 8, 3]) + struct.pack(">3I", MAX_IMAGES + 1, 28, 28)


@pytest.mark.parametrize(
    ("part", "contents", "sentence"),
    [
        ("labels-idx1", zipped(LABELS)[:-9], "truncated or damaged"),
        ("labels-idx1", zipped(LABELS[:-1]), "ends before what its header says"),
        ("labels-idx1", LABELS + b"\0", "longer than its header says"),
        ("labels-idx1", IMAGES, "no IDX file of bytes in 1 dimensions"),
        ("labels-idx1", idx_bytes(np.full(8, 10)), "holds a label 10"),
        ("labels-idx1", idx_bytes(np.arange(7)), "has 7 labels for the 8 of"),
        ("labels-idx1", b"", "ends before"),
        ("images-idx3", b"\0\0\x0d\3" + IMAGES[4:], r"\(it starts with 00000d03\)"),
        ("images-idx3", idx_bytes(np.zeros((8, 32, 32))), "images of 32 x 32 pixels"),
        ("images-idx3", HUGE, "claims 1,000,001 images"),
        ("images-idx3", zipped(IMAGES)[:-12], "truncated or damaged"),
        ("images-idx3", zipped(IMAGES + bytes(2**20)), "longer than its header says"),
        ("images-idx3", zipped(IMAGES)[:30] + bytes(40), "truncated or damaged"),
        ("images-idx3", IMAGES[:-5], "ends before what its header says"),
    ],
)
def test_broken_files_are_refused(
    tmp_path: Path, part: str, contents: bytes, sentence: str
) -> None:
    write_idx_files(tmp_path, 8, 8)
    (tmp_path / f"train-{part}-ubyte.gz").write_bytes(contents)
    with pytest.raises(UserError, match=sentence):
        list(variant_images("rotated_mnist", IdxSource.open(tmp_path)))


def test_other_files_than_the_known_ones_are_named(tmp_path: Path) -> None:
    files = find_idx_files(write_idx_files(tmp_path))
    found = checksum_findings("colored_mnist", files)
    assert len(found) == 4 and "train-images-idx3-ubyte.gz" in found[0]
    assert all(len(digits) == 64 for f in CHECKSUMS.values() for s in f.values() for digits in s)


def test_debians_fashion_mnist() -> None:
    """The real files, where Debian's package dataset-fashion-mnist is installed."""
    folder = Path(os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist"))
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    source = IdxSource.open(folder)
    assert np.bincount(source.labels).tolist() == [7000] * 10
    assert checksum_findings("rotated_fashion_mnist", source.files) == ()


def test_names_that_are_not_known_are_refused(tmp_path: Path) -> None:
    source = IdxSource.open(write_idx_files(tmp_path))
    with pytest.raises(UserError, match="no variant 'pacs' with resampling 'bilinear'"):
        next(variant_images("pacs", source))
    with pytest.raises(UserError, match="resampling 'nearest'"):
        next(variant_images("colored_mnist", source, resampling="nearest"))
