"""Grad-CAM maps over their images. Start from `overlay`, or `draw_attention` for a picture.

The colours are the paper's, from blue (of no weight) over green and yellow to red.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib import colormaps

from qtdog_tf.data import decode_image
from qtdog_tf.pictures.svg import Panel, draw_panels, shorten

_SIDE = 128
_STRENGTH = 0.5
_PANEL = 1.9
_MAX_BYTES = 2**28


def overlay(pixels: np.ndarray, heat: Any, strength: float = _STRENGTH) -> np.ndarray:
    """Lays a heat map over an image.

    Args:
        pixels: uint8 [h, w, 3].
        heat: float [a, b], 0 to 1; enlarged bilinearly to the image.
        strength: of the map, 0 to 1.

    Returns:
        uint8 [h, w, 3].
    """
    size = pixels.shape[:2]
    large = tf.image.resize(np.array(heat, np.float32)[:, :, None], size).numpy()[:, :, 0]
    colour = colormaps["jet"](np.clip(large, 0, 1))[:, :, :3]
    mixed = (1 - strength) * pixels / 255 + strength * colour
    return np.round(255 * np.clip(mixed, 0, 1)).astype(np.uint8)


def read_square(path: str, side: int = _SIDE) -> np.ndarray | None:
    """Reads an image as the models saw it, squeezed into a square.

    Args:
        path: the file.
        side: pixels.

    Returns:
        uint8 [side, side, 3]; None if the file is gone or no image.
    """
    try:
        # Neither a device, which never ends, nor what no camera writes.
        if not Path(path).is_file() or Path(path).stat().st_size > _MAX_BYTES:
            return None
        pixels = decode_image(tf.io.read_file(str(path)))
    except (tf.errors.OpError, OSError, ValueError):  # a ValueError: a name with a zero byte
        return None
    small = tf.image.resize(pixels, (side, side), antialias=True).numpy()
    return np.round(np.clip(small, 0, 255)).astype(np.uint8)


def draw_attention(
    images: Sequence[Mapping[str, Any]], path: Path, classes: Sequence[str] | None = None
) -> None:
    """Writes images and their maps side by side as a picture.

    Args:
        images: of a Grad-CAM analysis: "path", "domain", "truth", "predicted", "confidence",
            "heat". Those whose file is gone are shown without the image.
        path: the .svg or .png file.
        classes: names of the classes, if "truth" and "predicted" are numbers.
    """
    panels = [panel for image in images for panel in _pair(image, classes)]
    draw_panels(panels, path, columns=4)


def class_name(value: Any, classes: Sequence[str] | None = None) -> str:
    """The name of a class that is given by name or by number."""
    if isinstance(value, int) and classes is not None and 0 <= value < len(classes):
        return classes[value]
    return str(value)


def _pair(image: Mapping[str, Any], classes: Sequence[str] | None) -> list[Panel]:
    pixels = read_square(image["path"])
    ground = np.full((_SIDE, _SIDE, 3), 128, np.uint8) if pixels is None else pixels
    truth, said = (class_name(image[key], classes) for key in ("truth", "predicted"))
    sure = f"{100 * image['confidence']:.0f} %"
    name = "file is gone" if pixels is None else f"{image['domain']}: {truth}"
    return [
        _picture(ground, name, f"An image of class {truth} of domain {image['domain']}."),
        _picture(
            overlay(ground, image["heat"]),
            f"{said}, {sure}",
            f"Where the model looks when it says {said} with confidence {sure}.",
        ),
    ]


def _picture(pixels: np.ndarray, title: str, text: str) -> Panel:
    def draw(axes: Any) -> None:
        axes.imshow(pixels, interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(shorten(title, 22), size=8.5, weight="normal")

    return Panel(shorten(title, 22), text, draw, _PANEL, _PANEL)
