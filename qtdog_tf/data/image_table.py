"""The training images of all source domains in one list, from which a seed draws.

It holds the files themselves if they fit into memory, else where their paths are to be found. Start
from `build_image_table`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from qtdog_tf.data.domains import DomainSet
from qtdog_tf.data.path_list import PathList
from qtdog_tf.data.splits import Split
from qtdog_tf.errors import UserError


@dataclass(frozen=True, eq=False)
class ImageTable:
    """Images by position; those of a domain stand together.

    Attributes:
        paths: the paths of the images.
        files: string [images], what is in the files, or None: they are read from disk.
        rows: int64 [images], where the paths of the images stand, see `PathList`.
        labels: int32 [images].
        first: int64 [domains], where the images of a domain start.
        count: int64 [domains], how many it has.
    """

    paths: PathList
    files: tf.Tensor | None
    rows: tf.Tensor
    labels: tf.Tensor
    first: tf.Tensor
    count: tf.Tensor

    def draw(self, domain: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Returns the position of one image of a domain, int64; all are equally likely."""
        place = tf.random.stateless_uniform(
            [], seed, 0, self.count[domain], tf.int64, alg=tf.random.Algorithm.PHILOX
        )
        return self.first[domain] + place

    def contents(self, position: tf.Tensor) -> tf.Tensor:
        """Returns the bytes of an image's file, a string scalar."""
        if self.files is not None:
            return self.files[position]
        return tf.io.read_file(self.paths.look_up(self.rows[position]))


def build_image_table(
    domain_set: DomainSet,
    splits: Mapping[str, Split],
    source_domains: Sequence[str],
    in_memory: bool,
) -> ImageTable:
    """Lists the "in" parts of the source domains, and reads the files if they are to be kept.

    Raises:
        UserError: if a file cannot be read.
    """
    parts = [(domain_set.domain(name), splits[name].in_) for name in source_domains]
    paths = PathList.join([domain.paths.take(indices) for domain, indices in parts])
    counts = np.array([len(indices) for _, indices in parts], np.int64)
    return ImageTable(
        paths=paths,
        files=tf.constant([_read(path) for path in paths]) if in_memory else None,
        rows=tf.constant(paths.rows),
        labels=tf.constant(np.concatenate([d.labels[indices] for d, indices in parts])),
        first=tf.constant(np.cumsum(counts) - counts),
        count=tf.constant(counts),
    )


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"image {path} cannot be read: {error.strerror}") from error
