"""A small real data set for end-to-end tests: three domains, three classes, ten images each."""

import shutil
from pathlib import Path

from qtdog_tf.data.embedded import emoji_styles_root

DOMAINS = ("flat", "gradient", "line")
CLASSES = ("face", "hand", "vehicle")
IMAGES_PER_CLASS = 10


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
