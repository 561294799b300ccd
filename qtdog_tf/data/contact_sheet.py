"""A picture of the data: images of each class and domain, as testing and training see them."""

import os
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont

from qtdog_tf.data.augment import domainbed_augment, resize_squash
from qtdog_tf.data.decode import decode_image
from qtdog_tf.data.domains import Domain, DomainSet
from qtdog_tf.errors import UserError

ROWS = ("as tested", "as tested", "as trained")
SUFFIXES = (".jpg", ".png", ".webp")
_MAX_CLASSES = 16
_GAP = 4
_LEFT, _TOP = 132, 34
_PAPER, _INK, _FAINT, _BAD = "white", "#202020", "#808080", "#d03030"


def write_contact_sheet(
    domain_set: DomainSet, path: str | os.PathLike[str], *, image_size: int = 64, seed: int = 0
) -> None:
    """Draws a sheet with a column for each class and three rows for each domain.

    Two rows show images resized as for testing, the third an augmented one as for training. A cross
    stands for an image that cannot be read, a dash for a class without images. Of more than 16
    classes, 16 are shown. The file appears under its name when it is complete.

    Args:
        domain_set: the domains.
        path: the picture to write, .png, .jpg or .webp; replaced if it exists.
        image_size: edge of each image in pixels.
        seed: chooses the images and their augmentation.

    Raises:
        UserError: if the path ends otherwise.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{path} is no picture's name; it must end in {', '.join(SUFFIXES)}")
    n_classes = len(domain_set.classes)
    shown = np.unique(np.linspace(0, n_classes - 1, min(n_classes, _MAX_CLASSES)).astype(int))
    sheet = _draw_sheet(domain_set, shown.tolist(), image_size, seed)
    unfinished = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _draw_sheet(domain_set: DomainSet, shown: list[int], image_size: int, seed: int) -> Image.Image:
    pitch = image_size + _GAP
    block = len(ROWS) * pitch + 3 * _GAP
    size = (_LEFT + len(shown) * pitch, _TOP + len(domain_set.domains) * block)
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    for column, label in enumerate(shown):
        x = _LEFT + column * pitch
        # Long names are set lower and higher in turn, so that they do not run into each other.
        y = 2 + 15 * (column % 2)
        draw.text((x, y), domain_set.classes[label], _INK, font)
    for number, domain in enumerate(domain_set.domains):
        y = _TOP + number * block
        draw.text((_GAP, y), domain.name, _INK, font)
        for row, name in enumerate(ROWS):
            draw.text((_GAP, y + row * pitch + 16), name, _FAINT, font)
        for column, label in enumerate(shown):
            rng = np.random.default_rng([seed, number, label])
            for row, tile in enumerate(_tiles(domain, label, image_size, rng)):
                sheet.paste(tile, (_LEFT + column * pitch, y + row * pitch))
    return sheet


def _tiles(
    domain: Domain, label: int, image_size: int, rng: np.random.Generator
) -> list[Image.Image]:
    """Returns one tile a row; the augmented one shows the same image as the first."""
    members = np.flatnonzero(domain.labels == label)
    if not len(members):
        return [_sign(image_size, crossed=False)] * len(ROWS)
    first, second = rng.choice(members, 2, replace=len(members) < 2)
    augmentation = tf.constant(rng.integers(2**31, size=2))
    return [
        _tile(domain.paths[first], image_size),
        _tile(domain.paths[second], image_size),
        _tile(domain.paths[first], image_size, augmentation),
    ]


def _tile(path: str, image_size: int, augmentation: tf.Tensor | None = None) -> Image.Image:
    try:
        if augmentation is None:
            pixels = _as_tested(tf.constant(path), image_size)
        else:
            pixels = _as_trained(tf.constant(path), image_size, augmentation)
    except tf.errors.OpError:
        return _sign(image_size, crossed=True)
    return Image.fromarray(pixels.numpy())


@tf.function
def _as_tested(path: tf.Tensor, image_size: int) -> tf.Tensor:
    return resize_squash(decode_image(tf.io.read_file(path)), image_size)


@tf.function
def _as_trained(path: tf.Tensor, image_size: int, seed: tf.Tensor) -> tf.Tensor:
    return domainbed_augment(decode_image(tf.io.read_file(path)), image_size, seed)


def _sign(image_size: int, crossed: bool) -> Image.Image:
    tile = Image.new("RGB", (image_size, image_size), "#f0f0f0")
    draw = ImageDraw.Draw(tile)
    low, middle, high = (int(part * image_size) for part in (0.3, 0.5, 0.7))
    if crossed:
        draw.line((low, low, high, high), _BAD, 3)
        draw.line((low, high, high, low), _BAD, 3)
    else:
        draw.line((low, middle, high, middle), _FAINT, 2)
    return tile
