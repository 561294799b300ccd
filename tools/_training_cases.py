"""What benchmarks of training measure: networks on random pixels, as `backbone:pixels:images`."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from qtdog_tf.errors import UserError

DOMAINS, CLASSES = 3, 11


class Case(NamedTuple):
    """A backbone, the edge of its images in pixels, and the images of each domain in a batch."""

    backbone: str
    pixels: int
    images: int


def parse_case(text: str) -> Case:
    """The case that is written as "resnet50:224:8".

    Raises:
        UserError: if it is not three parts, the last two whole numbers.
    """
    parts = text.split(":")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts[1:]):
        raise UserError(f"a case is backbone:pixels:images, resnet50:224:8; received {text!r}")
    return Case(parts[0], int(parts[1]), int(parts[2]))


def random_batches(pixels: int, images: int, steps: int) -> tf.data.Dataset:
    """Batches of random pixels and labels, the same one for every step."""
    random = np.random.default_rng(0)
    batch = DOMAINS * images
    pictures = random.integers(0, 256, (batch, pixels, pixels, 3), np.uint8)
    labels = random.integers(0, CLASSES, batch)
    return tf.data.Dataset.from_tensors((pictures, labels)).repeat(steps)
