"""Image files on disk as pixels, decoded and resized as in the evaluations of training.

Start from `list_images`, then `read_images`.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from qtdog_tf.data import decode_image, find_unreadable, resize_squash
from qtdog_tf.data.folders import is_image_name, refuse_link_outside
from qtdog_tf.data.image_check import read_image_file

# Bounds the memory that waiting images take, whatever their number.
_CHUNK = 64


@dataclass(frozen=True, eq=False)
class ReadImage:
    """What became of one image.

    Attributes:
        path: the file.
        pixels: uint8 [size, size, 3], or None.
        problem: None, or why there are no pixels, for example "is truncated or damaged".
    """

    path: str
    pixels: np.ndarray | None
    problem: str | None = None


def list_images(arguments: Iterable[str]) -> list[str]:
    """Replaces folders by the images in them, at any depth.

    Args:
        arguments: files and folders. A file is kept whatever its name, and if it does not exist.

    Returns:
        Paths, those of a folder sorted. A folder without an image stands for itself, so that
        `read_images` reports it.

    Raises:
        UserError: if an image in a folder is a link that leads out of the folder.
    """
    return [path for argument in arguments for path in _expand(argument)]


def _expand(argument: str) -> list[str]:
    if not Path(argument).is_dir():
        return [argument]
    found = [
        os.path.join(folder, name)
        for folder, _, names in os.walk(argument)
        for name in names
        if is_image_name(name)
    ]
    for path in found:
        if Path(path).is_symlink():
            refuse_link_outside(path, argument)
    return sorted(found) or [argument]


def read_images(
    paths: Sequence[str], image_size: int, threads: int | None = None
) -> Iterator[ReadImage]:
    """Reads, decodes and resizes images in parallel, ahead of whoever takes them.

    Args:
        paths: the images.
        image_size: height and width of the result, pixels.
        threads: how many images at once; the number of CPU cores by default.

    Yields:
        One entry an image, in the order of the paths.
    """
    decode = _decoder(image_size)

    def read(path: str) -> ReadImage:
        try:
            return ReadImage(path, decode(read_image_file(path)).numpy())
        except (OSError, tf.errors.OpError):
            return ReadImage(path, None, _problem(path))
        except ValueError:  # from Python, for a zero byte in the path
            return ReadImage(path, None, "is no name of a file")

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
        ahead = pool.map(read, chunks[0]) if chunks else iter(())
        for chunk in [*chunks[1:], ()]:
            ready, ahead = ahead, pool.map(read, chunk)
            yield from ready


def _decoder(image_size: int) -> tf.types.experimental.PolymorphicFunction:
    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def decode(contents: tf.Tensor) -> tf.Tensor:
        return resize_squash(decode_image(contents), image_size)

    return decode


def _problem(path: str) -> str:
    if Path(path).is_dir():
        return "is a folder without images"
    found = find_unreadable([path], threads=1)
    return str(found[0].problem) if found else "cannot be resized"
