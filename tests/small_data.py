"""A small real data set and a tiny run for end-to-end tests."""

import shutil
from pathlib import Path

from qtdog_tf.data.embedded import emoji_styles_root

DOMAINS = ("flat", "gradient", "line")
CLASSES = ("face", "hand", "vehicle")
IMAGES_PER_CLASS = 10

# Settings of a training run that takes seconds.
TINY_RUN = {
    "backbone": "tiny",
    "weights": "none",
    "image_size": 16,
    "images_per_domain": 4,
    "steps": 12,
    "quantize_step": 6,
    "eval_every": 4,
    "sma_start": 3,
    "learning_rate": 1e-2,
}


def make_small_data(root: Path) -> Path:
    """Copies a part of emoji_styles to `root`/<domain>/<class>/<image>; returns `root`."""
    for domain in DOMAINS:
        for name in CLASSES:
            folder = root / domain / name
            folder.mkdir(parents=True)
            images = sorted((emoji_styles_root() / domain / name).iterdir())
            for image in images[:IMAGES_PER_CLASS]:
                shutil.copy(image, folder)
    return root
