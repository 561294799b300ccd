"""Domains of images: listing, splits, decoding, augmentation, batches, integrity check.

Start from `open_domains`, then `split_domains`, then `training_batches`. Names are imported when
they are first used.
"""

from typing import Any

from qtdog_tf._lazy import import_name

_MODULE_OF = {
    "CachePlan": "cache",
    "Domain": "domains",
    "DomainSet": "domains",
    "IntegrityReport": "integrity",
    "Split": "splits",
    "check_domains": "integrity",
    "decode_image": "decode",
    "domainbed_augment": "augment",
    "emoji_styles_root": "embedded",
    "evaluation_batches": "pipeline",
    "find_unreadable": "image_check",
    "open_domains": "sources",
    "plan_cache": "cache",
    "read_folder": "folders",
    "read_tfds": "tfds_sets",
    "resize_squash": "augment",
    "split_domains": "splits",
    "split_fingerprint": "splits",
    "split_indices": "splits",
    "split_seed": "splits",
    "training_batches": "pipeline",
    "without_domains": "pipeline",
    "write_contact_sheet": "contact_sheet",
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    return import_name(__name__, _MODULE_OF, name)
