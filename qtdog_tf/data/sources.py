"""Finds the data set that a person names: embedded, a folder, or from TensorFlow Datasets."""

import os
from pathlib import Path

from qtdog_tf.data.catalog import CATALOG
from qtdog_tf.data.domains import DomainSet
from qtdog_tf.data.embedded import EMOJI_STYLES, cache_folder, emoji_styles_root
from qtdog_tf.data.folders import read_folder
from qtdog_tf.errors import UserError

TFDS_PREFIX = "tfds:"


def open_domains(spec: str, cache_dir: str | os.PathLike[str] | None = None) -> DomainSet:
    """Opens a data set by name or path.

    Args:
        spec: "emoji_styles", the data set inside the package; or a folder of
            <domain>/<class>/<image> (write "./emoji_styles" for a folder of that name); or
            "tfds:<name>" or "tfds:<name>:<data_dir>", a prepared data set of TensorFlow Datasets
            whose splits or configs are domains, those of `qtdog_tf.datasets` among them.
        cache_dir: where the first and the last of these are unpacked once; $QTDOG_TF_CACHE or
            ~/.cache/qtdog_tf by default.

    Returns:
        The domains.

    Raises:
        UserError: if there is no such data set or it cannot be read.
    """
    if spec == EMOJI_STYLES:
        return read_folder(emoji_styles_root(cache_dir), name=EMOJI_STYLES)
    if spec.startswith(TFDS_PREFIX):
        # Only who asks for it pays for importing TensorFlow Datasets.
        from qtdog_tf.data.tfds_sets import load_builder, read_tfds

        name, _, data_dir = spec.removeprefix(TFDS_PREFIX).partition(":")
        return read_tfds(load_builder(name, data_dir or None), cache_folder(cache_dir))
    if not spec:
        raise UserError(
            f"no data named; use {EMOJI_STYLES}, a folder of <domain>/<class>/<image>, "
            f"or {TFDS_PREFIX}<name>"
        )
    if spec in CATALOG and not Path(spec).exists():
        raise UserError(
            f"there is no folder {spec}; make it from what the catalogue says to download with "
            f"python -m tools.prepare --dataset={spec} --from=<downloads> --output={spec}"
        )
    return read_folder(spec)
