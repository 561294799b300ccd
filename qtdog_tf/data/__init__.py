"""Domains of images: listing, splits, decoding, augmentation, batches, integrity check.

Start from `open_domains`, then `split_domains`, then `training_batches`.
"""

from qtdog_tf.data.augment import domainbed_augment, resize_squash
from qtdog_tf.data.cache import CachePlan, plan_cache
from qtdog_tf.data.decode import decode_image
from qtdog_tf.data.domains import Domain, DomainSet
from qtdog_tf.data.embedded import emoji_styles_root
from qtdog_tf.data.folders import read_folder
from qtdog_tf.data.image_check import find_unreadable
from qtdog_tf.data.integrity import IntegrityReport, check_domains
from qtdog_tf.data.pipeline import (
    drawn_images,
    evaluation_batches,
    training_batches,
    without_domains,
    without_labels,
)
from qtdog_tf.data.sources import open_domains
from qtdog_tf.data.splits import (
    Split,
    halve_held_out,
    split_domains,
    split_fingerprint,
    split_indices,
    split_seed,
)

__all__ = [
    "CachePlan",
    "Domain",
    "DomainSet",
    "IntegrityReport",
    "Split",
    "check_domains",
    "decode_image",
    "domainbed_augment",
    "drawn_images",
    "emoji_styles_root",
    "evaluation_batches",
    "find_unreadable",
    "halve_held_out",
    "open_domains",
    "plan_cache",
    "read_folder",
    "resize_squash",
    "split_domains",
    "split_fingerprint",
    "split_indices",
    "split_seed",
    "training_batches",
    "without_domains",
    "without_labels",
]
