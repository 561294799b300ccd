"""A picture of what one to three models say about images of a domain.

The images are a fair sample, not a choice: `make_gallery` draws them with a seed, equally from
every class, and the caption says so. Whether a prediction is right is told by sign and ground, so
that neither colour vision nor a colour printer is needed.
"""

import dataclasses
import math
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from qtdog_tf.data import decode_image
from qtdog_tf.data.domains import Domain
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation.images import NEW
from qtdog_tf.evaluation.predictions import Predictions
from qtdog_tf.pictures.canvas import BLUE, INK, LINE, PALE_INK, VERMILION, new_figure, save_figure
from qtdog_tf.pictures.sampling import balanced_sample
from qtdog_tf.records import SOURCE, TARGET

RIGHT, WRONG = "\N{CHECK MARK}", "\N{BALLOT X}"

MAX_MODELS = 3
MAX_IMAGES = 200

_TITLES = {
    TARGET: "Predictions on {!r}, a domain that was held out of training",
    NEW: "Predictions on {!r}, a domain that was no part of the training data",
    SOURCE: "Predictions on {!r}, a domain that was trained on (part: {})",
}
# Inches, and points of letters. A letter is about 0.56 of its size wide, a point 1/72 inch.
_COLUMNS, _CELL, _IMAGE, _GAP, _MARGIN, _MIN_WIDTH = 6, 1.52, 1.15, 0.24, 0.2, 6.5
_SIZE, _LETTER, _LINE = 8.5, 0.56 * 8.5 / 72, 0.19
_TITLE_SIZE, _TITLE_LETTER, _TITLE_LINE = 13, 0.6 * 13 / 72, 0.26
_LONGEST_NAME = 14


@dataclasses.dataclass(frozen=True, eq=False)
class Gallery:
    """Images and what models say about them.

    Attributes:
        domain: the images to show.
        classes: class names.
        probabilities: by name of the model, float [images, classes].
        title: what it shows.
        caption: how the images were chosen, and how often the models are right on all images.
    """

    domain: Domain
    classes: tuple[str, ...]
    probabilities: Mapping[str, np.ndarray]
    title: str
    caption: str


def make_gallery(predictions: Mapping[str, Predictions], count: int, seed: int) -> Gallery:
    """Draws the images to show.

    Args:
        predictions: by name of the model, one to three, for the same images and classes.
        count: how many images to show; all, if there are fewer.
        seed: chooses them.

    Raises:
        UserError: for more than three models, or if their images or classes differ.
    """
    if not 1 <= len(predictions) <= MAX_MODELS:
        raise UserError(f"a gallery shows one to {MAX_MODELS} runs; received {len(predictions)}")
    first = next(iter(predictions.values()))
    for label, other in predictions.items():
        if other.result.classes != first.result.classes:
            raise UserError(f"run {label} has other classes than the first: show them apart")
        if other.images.domain.paths != first.images.domain.paths:
            raise UserError(
                f"run {label} has not held out the same images as the first: name a --domain that "
                "both have held out, or show them apart"
            )
    domain = first.images.domain
    chosen = balanced_sample(domain.labels, count, seed)
    title = _TITLES.get(first.images.role, "Predictions on {!r}")
    return Gallery(
        domain=Domain(domain.name, domain.paths.take(chosen), domain.labels[chosen]),
        classes=first.result.classes,
        probabilities={label: _softmax(p.logits[chosen]) for label, p in predictions.items()},
        title=title.format(domain.name, first.images.part),
        caption=_caption(predictions, chosen, seed),
    )


def _caption(predictions: Mapping[str, Predictions], chosen: np.ndarray, seed: int) -> str:
    first = next(iter(predictions.values()))
    labels = first.images.domain.labels
    rates = ", ".join(f"{name} {100 * p.result.accuracy:.1f} %" for name, p in predictions.items())
    hits = ", ".join(
        f"{name} {np.sum(p.logits[chosen].argmax(axis=1) == labels[chosen])}"
        for name, p in predictions.items()
    )
    return (
        f"{len(chosen)} of {len(labels)} images, drawn at random (seed {seed}), equally from every "
        "class; none was chosen by its result. Below each: its class, and what each model takes it "
        f"for ({RIGHT} right, {WRONG} wrong) with its confidence. Right on all {len(labels)} "
        f"images: {rates}. Right on the {len(chosen)} shown: {hits}."
    )


def _softmax(logits: np.ndarray) -> np.ndarray:
    logits = np.asarray(logits, np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def draw_gallery(gallery: Gallery, path: Path) -> None:
    """Writes a gallery as a .png file.

    Args:
        gallery: what `make_gallery` returned.
        path: the file, replaced if it exists.
    """
    columns = min(_COLUMNS, len(gallery.domain))
    rows = math.ceil(len(gallery.domain) / columns)
    names = ["class", *gallery.probabilities]
    left = 2 * _MARGIN + max(map(len, names)) * _LETTER
    width = max(left + columns * _CELL + _MARGIN, _MIN_WIDTH)
    title = textwrap.wrap(gallery.title, int((width - 2 * _MARGIN) / _TITLE_LETTER))
    caption = textwrap.wrap(gallery.caption, int((width - 2 * _MARGIN) / _LETTER))
    top = 2.5 * _MARGIN + len(title) * _TITLE_LINE + len(caption) * _LINE
    row_height = _IMAGE + len(names) * _LINE + _GAP
    height = top + rows * row_height + 0.5 * _MARGIN
    page = _Page(new_figure(width, height), width, height)
    for number, line in enumerate(title):
        page.text(_MARGIN, _MARGIN + (number + 0.5) * _TITLE_LINE, line, size=_TITLE_SIZE)
    for number, line in enumerate(caption):
        y = 1.4 * _MARGIN + len(title) * _TITLE_LINE + (number + 0.5) * _LINE
        page.text(_MARGIN, y, line, size=_SIZE, color=PALE_INK)
    for row in range(rows):
        y = top + row * row_height
        for place, name in enumerate(names):
            below = y + _IMAGE + (place + 0.6) * _LINE
            page.text(left - 0.12, below, name, size=_SIZE, ha="right", color=PALE_INK)
        for column in range(min(columns, len(gallery.domain) - row * columns)):
            _draw_cell(page, gallery, row * columns + column, left + column * _CELL, y)
    save_figure(page.figure, path)


class _Page:
    """A figure on which places are given in inches from the upper left."""

    def __init__(self, figure: Figure, width: float, height: float) -> None:
        self.figure = figure
        self.width = width
        self.height = height

    def text(self, x: float, y: float, text: str, **style: Any) -> None:
        style = {"color": INK, "va": "center", "parse_math": False, **style}
        self.figure.text(x / self.width, 1 - y / self.height, text, **style)

    def image(self, x: float, y: float, side: float, pixels: np.ndarray) -> None:
        box = (x / self.width, 1 - (y + side) / self.height, side / self.width, side / self.height)
        axes = self.figure.add_axes(box)
        axes.imshow(pixels, interpolation="lanczos")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_color(LINE)


def _draw_cell(page: _Page, gallery: Gallery, number: int, x: float, y: float) -> None:
    truth = int(gallery.domain.labels[number])
    pixels = decode_image(tf.io.read_file(gallery.domain.paths[number])).numpy()
    page.image(x, y, _IMAGE, pixels)
    y += _IMAGE + 0.6 * _LINE
    page.text(x, y, _short(gallery.classes[truth]), size=_SIZE, weight="bold")
    for probabilities in gallery.probabilities.values():
        y += _LINE
        predicted = int(probabilities[number].argmax())
        said = f"{_short(gallery.classes[predicted])} {100 * probabilities[number].max():.0f} %"
        if predicted == truth:
            page.text(x, y, f"{RIGHT} {said}", size=_SIZE, color=BLUE)
        else:
            ground = {"facecolor": VERMILION, "edgecolor": "none", "pad": 1.4}
            page.text(x, y, f"{WRONG} {said}", size=_SIZE, color="white", bbox=ground)


def _short(name: str) -> str:
    return (
        name
        if len(name) <= _LONGEST_NAME
        else name[: _LONGEST_NAME - 1] + "\N{HORIZONTAL ELLIPSIS}"
    )
