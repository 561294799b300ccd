"""Domains of images: listing, splits, decoding, augmentation, batches, integrity check.

Start from `open_domains`, then `split_domains`, then `training_batches`. Names are imported when
they are first used, so that what needs no TensorFlow does not wait for it.
"""

from importlib import import_module

_MODULE_OF = {
    "DomainSet": "domains",
    "Domain": "domains",
    "read_folder": "folders",
    "emoji_styles_root": "embedded",
    "open_domains": "sources",
    "Split": "splits",
    "split_domains": "splits",
    "split_fingerprint": "splits",
    "split_indices": "splits",
    "split_seed": "splits",
    "decode_image": "decode",
    "domainbed_augment": "augment",
    "resize_squash": "augment",
    "evaluation_batches": "pipeline",
    "plan_cache": "pipeline",
    "training_batches": "pipeline",
    "without_domains": "pipeline",
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
