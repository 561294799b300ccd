"""Makes a folder like DomainNet's of real small JPEGs, to measure with what nobody may pass on.

Domains, classes and the share of each domain are DomainNet's; names are as long as its own. Every
image is another: a part of an embedded emoji on a coloured ground, with noise as in a photograph.
Start from `make_tree`.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from qtdog_tf.data import decode_image, emoji_styles_root
from qtdog_tf.data.catalog import DOMAIN_NET
from qtdog_tf.errors import UserError
from qtdog_tf.files import read_json, write_json

# What a tree is made of; written last, and hidden from whoever lists images.
_RECORD = ".tree.json"
_DRAWINGS = 64
_CROP = 40
_QUALITY = 85


def make_tree(root: Path, images: int, height: int, width: int, seed: int = 0) -> Path:
    """Makes `root/<domain>/<class>/<image>.jpg`, unless it is there already.

    Args:
        root: the folder; new, empty, or what an earlier call with the same arguments has made.
        images: in all domains together; at least one for each.
        height: of each image, pixels.
        width: of each image, pixels.
        seed: chooses drawings, parts, colours and noise.

    Returns:
        `root`.

    Raises:
        UserError: if the folder holds anything else.
    """
    root = Path(root)
    wanted = {"images": images, "height": height, "width": width, "seed": seed}
    record = root / _RECORD
    if record.exists() and read_json(record) == wanted:
        return root
    if root.exists() and any(root.iterdir()):
        raise UserError(f"{root} holds something else than the {images:,} images: remove it")
    groups = list(_groups(images))
    for folder, _ in groups:
        (root / folder).mkdir(parents=True)
    paths = [str(root / folder / name) for folder, names in groups for name in names]
    _write_images(paths, height, width, seed)
    write_json(record, wanted)
    return root


def domain_counts(images: int) -> dict[str, int]:
    """How many images each domain gets, in DomainNet's proportions, at least one."""
    (counts,) = DOMAIN_NET.counts
    ends = np.cumsum(counts.images) * images // counts.total
    shares = np.maximum(np.diff(ends, prepend=0), 1)
    return dict(zip(DOMAIN_NET.domains, shares.tolist(), strict=True))


def _groups(images: int) -> Iterator[tuple[Path, list[str]]]:
    """The folder of each class of each domain, and the names of the files in it."""
    for domain, count in domain_counts(images).items():
        number = itertools.count(1)
        for k, kind in enumerate(DOMAIN_NET.classes):
            size = len(range(k, count, len(DOMAIN_NET.classes)))
            if size:
                names = [f"{domain}_{k:03d}_{next(number):06d}.jpg" for _ in range(size)]
                yield Path(domain) / kind, names


def _write_images(paths: list[str], height: int, width: int, seed: int) -> None:
    drawings = _drawings()

    def write(number: tf.Tensor, path: tf.Tensor) -> tf.Tensor:
        choice = tf.stack([tf.constant(seed, tf.int64), number])
        index = tf.random.stateless_uniform([], choice, 0, len(drawings), tf.int32)
        image = tf.image.stateless_random_crop(drawings[index], [_CROP, _CROP, 3], choice)
        ground = tf.random.stateless_uniform([1, 1, 3], choice, 40.0, 215.0)
        image = tf.image.resize(0.5 * tf.cast(image, tf.float32) + 0.5 * ground, [height, width])
        image += tf.random.stateless_normal([height, width, 1], choice, 0.0, 5.0)
        image = tf.cast(tf.clip_by_value(image, 0.0, 255.0), tf.uint8)
        tf.io.write_file(path, tf.io.encode_jpeg(image, quality=_QUALITY))
        return number

    numbered = tf.data.Dataset.from_tensor_slices((np.arange(len(paths), dtype=np.int64), paths))
    written = numbered.map(write, num_parallel_calls=tf.data.AUTOTUNE).batch(1024)
    for _ in written:
        pass


def _drawings() -> tf.Tensor:
    """Some of the embedded drawings, uint8 [n, 64, 64, 3]."""
    files = sorted(emoji_styles_root().glob("*/*/*.png"))
    chosen = files[:: len(files) // _DRAWINGS]
    return tf.stack([decode_image(tf.io.read_file(str(path))) for path in chosen])
