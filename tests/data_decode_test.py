"""Decoded pixels against PIL, format by format, and what must not be decoded."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from qtdog_tf.data.decode import decode_image
from qtdog_tf.data.exif import UPRIGHT, apply_orientation, read_orientation
from tests.image_cases import CASES, ORIENTATION, a_picture, encoded, exif, with_alpha

SCALAR = [tf.TensorSpec([], tf.string)]
decode = tf.function(decode_image, input_signature=SCALAR)
orientation_of = tf.function(read_orientation, input_signature=SCALAR)


@pytest.mark.parametrize("name", CASES)
def test_pixels_are_pils(name: str) -> None:
    expected = np.asarray(Image.open(io.BytesIO(CASES[name])).convert("RGB"))
    np.testing.assert_array_equal(decode(CASES[name]), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    contents = encoded(a_picture(), "JPEG", exif=exif(orientation))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(contents))))
    np.testing.assert_array_equal(decode(contents), expected)


def test_sixteen_bits_are_cut_to_the_upper_eight() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    contents = encoded(Image.fromarray(values), "PNG")
    np.testing.assert_array_equal(decode(contents), np.repeat((values >> 8)[..., None], 3, axis=2))


def exif_segment(
    order: str, value: int, *, before: bytes = b"", offset: int = 8, count: int | None = None
) -> bytes:
    """Builds the start of a JPEG by hand: EXIF with two tags, the second the orientation."""
    entries = [(0x0110, 3, 1, 7), (ORIENTATION, 3, 1, value)]
    tiff = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, offset)
    tiff += struct.pack(f"{order}H", len(entries) if count is None else count)
    tiff += b"".join(struct.pack(f"{order}HHIHH", *entry, 0) for entry in entries)
    payload = b"Exif\0\0" + tiff
    return b"\xff\xd8" + before + struct.pack(">HH", 0xFFE1, len(payload) + 2) + payload


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("value", [1, 6, 8])
def test_orientation_in_both_byte_orders(order: str, value: int) -> None:
    assert orientation_of(exif_segment(order, value)) == value


def test_orientation_is_found_behind_other_segments() -> None:
    jfif = struct.pack(">HH", 0xFFE0, 16) + bytes(14)
    other_app1 = struct.pack(">HH", 0xFFE1, 12) + b"http://x.."
    assert orientation_of(exif_segment(">", 5, before=jfif + other_app1)) == 5


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"\xff\xd8",
        encoded(a_picture(), "JPEG"),
        exif_segment("<", 0),
        exif_segment("<", 9),
        exif_segment("<", 6, offset=2**16 + 8),
        exif_segment("<", 6, offset=60000),
        exif_segment("<", 6, count=1),
        exif_segment("<", 6)[:-6],
        b"\xff\xd8\xff\xda" + exif_segment("<", 6)[2:],
        b"\xff\xd8" + b"\xff\xe0\0\0" * 100,
    ],
)
def test_missing_or_malformed_orientation_is_upright(contents: bytes) -> None:
    assert orientation_of(contents) == UPRIGHT


def test_too_many_directory_entries_are_cut_at_the_end_of_the_file() -> None:
    assert orientation_of(exif_segment("<", 6, count=65535)) == 6


@given(st.binary(max_size=200), st.integers(0, 60), st.binary(max_size=8))
@settings(deadline=None, max_examples=200)
def test_any_bytes_have_an_orientation(tail: bytes, position: int, patch: bytes) -> None:
    contents = bytearray(exif_segment(">", 6) + tail)
    contents[position : position + len(patch)] = patch
    assert 1 <= int(orientation_of(bytes(contents))) <= 8


def test_orientations_are_the_group_of_the_square() -> None:
    image = tf.reshape(tf.range(6), [2, 3, 1])
    results = [
        apply_orientation(image, tf.constant(o)).numpy()[..., 0].tolist() for o in range(1, 9)
    ]
    assert results == [
        [[0, 1, 2], [3, 4, 5]],
        [[2, 1, 0], [5, 4, 3]],
        [[5, 4, 3], [2, 1, 0]],
        [[3, 4, 5], [0, 1, 2]],
        [[0, 3], [1, 4], [2, 5]],
        [[3, 0], [4, 1], [5, 2]],
        [[5, 2], [4, 1], [3, 0]],
        [[2, 5], [1, 4], [0, 3]],
    ]


def webp_animation(picture: Image.Image) -> bytes:
    return encoded(picture, "WEBP", save_all=True, append_images=[picture.rotate(90)])


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"no image at all",
        b"\xff\xd8\xff",
        b"GIF89a",
        b"\x89PNG\r\n\x1a\n",
        b"BM",
        b"RIFF",
        b"RIFF0000WEBP",
        b"RIFF0000WEBPVP8X",
        *(CASES[name][: len(CASES[name]) * 2 // 3] for name in ("jpeg", "png", "bmp", "webp")),
        CASES["bmp palette"][:60],
        # A header that ends behind the file.
        CASES["bmp palette"][:14] + b"\x28\0\1\0" + CASES["bmp palette"][18:],
    ],
)
def test_what_is_no_whole_image_is_an_error(contents: bytes) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(contents)


@pytest.mark.parametrize("picture", [a_picture(), with_alpha()], ids=["opaque", "alpha"])
def test_animated_webp_is_an_error_and_does_not_reach_the_decoder(picture: Image.Image) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="animated WebP is not supported"):
        decode(webp_animation(picture))
