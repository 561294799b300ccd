"""Rotates and colours the images of MNIST, as in section 6.1 of the specification.

All images, training and test, are permuted once; image i of the permutation belongs to domain i
modulo their number. DomainBed permutes by torch's generator, so its images of a domain are others
than these; the proportions are the same. Start from `variant_images`.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from qtdog_tf.data.catalog import find_entry
from qtdog_tf.data.catalog.digit_sets import ANGLES
from qtdog_tf.data.mnist.idx import IdxSource
from qtdog_tf.errors import UserError

ROTATED = ("rotated_mnist", "rotated_fashion_mnist")
MNIST_VARIANTS = (*ROTATED, "colored_mnist")
RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,  # DomainBed
    "bicubic": Image.Resampling.BICUBIC,  # its fork, from which the released code comes
}
LABEL_NOISE = 0.25
COLOUR_NOISE = (0.1, 0.2, 0.9)
# Streams of random numbers of one seed.
_ORDER, _NOISE = 0, 1


@dataclass(frozen=True)
class VariantImage:
    """One image of a variant.

    Attributes:
        domain: name of its domain.
        kind: name of its class.
        name: file name, the position among training and test images: "00042.png".
        png: the file.
    """

    domain: str
    kind: str
    name: str
    png: bytes


def assign_domains(n: int, domains: int, seed: int) -> np.ndarray:
    """Deals images out to domains after one permutation, DomainBed's `images[i::domains]`.

    Args:
        n: number of images.
        domains: number of domains.
        seed: of the permutation.

    Returns:
        int64 [n], the domain of each image.
    """
    order = np.random.RandomState([seed, _ORDER]).permutation(n)
    of_image = np.empty(n, np.int64)
    of_image[order] = np.arange(n) % domains
    return of_image


def colour_labels(
    digits: np.ndarray, colour_noise: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draws the class and the colour of each image of ColoredMNIST.

    class = (digit < 5) xor Bernoulli(0.25); colour = class xor Bernoulli(colour_noise).

    Args:
        digits: uint8 [n], 0 to 9.
        colour_noise: float [n], how likely the colour differs from the class.
        seed: of the draws.

    Returns:
        (classes, colours): int64 [n], 0 or 1; colour 0 is red, 1 is green.
    """
    draws = np.random.RandomState([seed, _NOISE]).random_sample((len(digits), 2))
    classes = (digits < 5) ^ (draws[:, 0] < LABEL_NOISE)
    return classes.astype(np.int64), (classes ^ (draws[:, 1] < colour_noise)).astype(np.int64)


def rotate(image: np.ndarray, angle: float, resampling: str = "bilinear") -> np.ndarray:
    """Turns an image anticlockwise about its centre; what comes in from outside is black.

    Args:
        image: uint8 [h, w].
        angle: degrees.
        resampling: "bilinear" or "bicubic".

    Returns:
        uint8 [h, w].
    """
    turned = Image.fromarray(image).rotate(angle, RESAMPLING[resampling], fillcolor=0)
    return np.asarray(turned)


def paint(image: np.ndarray, colour: int) -> np.ndarray:
    """Puts a grey image into one of the channels red and green.

    DomainBed's images have these two channels only; a PNG's third is zero.

    Args:
        image: uint8 [h, w].
        colour: 0 or 1, the channel.

    Returns:
        uint8 [h, w, 3].
    """
    painted = np.zeros((*image.shape, 3), np.uint8)
    painted[..., colour] = image
    return painted


def variant_images(
    name: str,
    source: IdxSource,
    *,
    seed: int = 0,
    resampling: str = "bilinear",
    domain: str | None = None,
) -> Iterator[VariantImage]:
    """Makes the images of a variant, one at a time.

    Args:
        name: one of `MNIST_VARIANTS`.
        source: the images of MNIST or Fashion-MNIST.
        seed: of the permutation and, for ColoredMNIST, of the noise.
        resampling: how rotation interpolates, "bilinear" or "bicubic".
        domain: make those of this domain only.

    Yields:
        The images in the order of the source.

    Raises:
        UserError: if a name or a file is wrong.
    """
    if name not in MNIST_VARIANTS or resampling not in RESAMPLING:
        raise UserError(
            f"no variant {name!r} with resampling {resampling!r}; there are "
            f"{', '.join(MNIST_VARIANTS)} with {' or '.join(RESAMPLING)}"
        )
    entry = find_entry(name)
    of_image = assign_domains(len(source.labels), len(entry.domains), seed)
    kinds, change = _changes(name, source.labels, of_image, seed, resampling)
    for position, image in enumerate(source.images()):
        own = entry.domains[of_image[position]]
        if domain in (None, own):
            png = encode_png(change(position, image))
            yield VariantImage(own, entry.classes[kinds[position]], f"{position:05d}.png", png)


def _changes(
    name: str, labels: np.ndarray, of_image: np.ndarray, seed: int, resampling: str
) -> tuple[np.ndarray, Callable[[int, np.ndarray], np.ndarray]]:
    """The class of each image, and the function of a position and an image that changes it."""
    if name in ROTATED:
        return labels, lambda i, image: rotate(image, ANGLES[of_image[i]], resampling)
    kinds, colours = colour_labels(labels, np.array(COLOUR_NOISE)[of_image], seed)
    return kinds, lambda i, image: paint(image, colours[i])


def encode_png(image: np.ndarray) -> bytes:
    """Encodes uint8 [h, w] or [h, w, 3] as PNG."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()
