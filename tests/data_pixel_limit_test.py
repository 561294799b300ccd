"""Images that declare too many pixels: the number is read right, and nothing is decoded."""

import os
import struct
import zlib
from pathlib import Path

import pytest
import tensorflow as tf

from qtdog_tf.data.decode import decode_image
from qtdog_tf.data.folders import read_folder
from qtdog_tf.data.image_check import inspect_image
from qtdog_tf.data.pixel_limit import MAX_PIXELS, declared_pixels
from qtdog_tf.errors import UserError
from qtdog_tf.export.image_files import list_images, read_images
from tests.image_cases import CASES

pixels_of = tf.function(declared_pixels, input_signature=[tf.TensorSpec([], tf.string)])


def patched(name: str, position: int, value: bytes) -> bytes:
    contents = CASES[name]
    return contents[:position] + value + contents[position + len(value) :]


def png_bomb() -> bytes:
    header = b"IHDR" + struct.pack(">2I5B", 100_000, 100_000, 8, 2, 0, 0, 0)
    return patched("png", 12, header + struct.pack(">I", zlib.crc32(header)))


def gif_bomb(frames: int) -> bytes:
    frame = b"," + struct.pack("<4HB", 0, 0, 65_535, 60_000 // frames, 0) + b"\x02\x01\x00\x00"
    return CASES["gif"][:10] + b"\x00\x00\x00" + frame * frames + b";"


def jpeg_bomb() -> bytes:
    start = CASES["jpeg"].index(b"\xff\xc0")
    return patched("jpeg", start + 5, struct.pack(">2H", 65_500, 65_500))


BOMBS = {
    "jpeg": jpeg_bomb(),
    "png": png_bomb(),
    "gif": gif_bomb(1),
    "bmp": patched("bmp", 18, struct.pack("<2i", 2**20, -(2**20))),
    "webp": patched("webp", 26, struct.pack("<2H", 16_383, 16_383)),
    "webp lossless": patched("webp lossless", 21, struct.pack("<I", 2**28 - 1)),
    "webp extended": patched("webp alpha", 24, b"\xff\xff\xff\xff\xff\xff"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_declared_size_is_read_from_every_format(name: str) -> None:
    assert int(pixels_of(CASES[name])) == 46 * 31


@pytest.mark.parametrize("name", BOMBS)
def test_an_image_that_declares_too_much_is_refused_undecoded(name: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(BOMBS[name])
    assert int(pixels_of(BOMBS[name])) > MAX_PIXELS
    with pytest.raises(tf.errors.InvalidArgumentError, match="pixels are declared"):
        decode_image(tf.constant(BOMBS[name]))
    sentence = f"declares {int(pixels_of(BOMBS[name])):,} pixels, more than the {MAX_PIXELS:,}"
    assert str(inspect_image(str(path)).problem).startswith(sentence)
    (read,) = read_images([str(path)], 32)
    assert str(read.problem).startswith(sentence)


def test_frames_of_a_gif_count_together() -> None:
    assert int(pixels_of(gif_bomb(100))) > MAX_PIXELS


@pytest.mark.parametrize("length", range(0, 40))
def test_any_start_of_a_file_has_a_size_or_is_an_error(length: int) -> None:
    for contents in CASES.values():
        try:
            assert int(pixels_of(contents[:length])) >= 0
        except tf.errors.InvalidArgumentError:
            continue


def test_pipes_and_huge_files_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert inspect_image(str(tmp_path / "pipe.png")).problem == (
        "cannot be opened (it is no ordinary file)"
    )
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(2**31)
    assert "larger than" in str(inspect_image(str(tmp_path / "huge.png")).problem)
    (_, pipe) = read_images(list_images([str(tmp_path)]), 32)
    assert "no ordinary file" in str(pipe.problem)


def test_links_that_leave_the_folder_are_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(CASES["png"])
    folder = tmp_path / "photos" / "day" / "cat"
    folder.mkdir(parents=True)
    (folder / "1.png").write_bytes(CASES["png"])
    (folder / "2.png").symlink_to("1.png")
    # The folder itself may be a link.
    (tmp_path / "link").symlink_to("photos")
    assert len(read_folder(tmp_path / "link")) == len(list_images([str(tmp_path / "link")])) == 2
    (folder / "3.png").symlink_to(secret)
    for function in (read_folder, lambda root: list_images([str(root)])):
        with pytest.raises(UserError, match=r"3.png is a link that leads out .*secret.png: put"):
            function(tmp_path / "photos")
    (folder / "3.png").unlink()
    (tmp_path / "photos" / "night").symlink_to(tmp_path)
    with pytest.raises(UserError, match="night is a link that leads out of the folder"):
        read_folder(tmp_path / "photos")
