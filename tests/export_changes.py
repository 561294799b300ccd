"""Changes single numbers in a .tflite file, for the checks to notice."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from qtdog_tf.export.tflite.flatbuffer_file import pack_model, read_model
from qtdog_tf.export.tflite.layers_of_file import FileConv, find_convolutions
from tests.export_files import Converted

Change = Callable[[Any, FileConv], None]


def changed(file: Converted, layer: str, change: Change) -> Path:
    """A copy of the file with something changed in one layer."""
    model = read_model(file.path)
    change(model, find_convolutions(model, file.graph)[layer])
    path = file.path.with_name("changed.tflite")
    path.write_bytes(pack_model(model))
    return path


def change_numbers(of: str, kind: Any, change: Callable[[np.ndarray], None]) -> Change:
    def in_file(model: Any, conv: FileConv) -> None:
        buffer = model.buffers[getattr(conv, of).buffer]
        numbers = np.array(buffer.data).view(kind)
        change(numbers)
        buffer.data = numbers.view(np.uint8)

    return in_file


def add(index: int, amount: float) -> Callable[[np.ndarray], None]:
    def change(numbers: np.ndarray) -> None:
        numbers[index] += amount

    return change


def set_to(index: int, number: float) -> Callable[[np.ndarray], None]:
    def change(numbers: np.ndarray) -> None:
        numbers[index] = number

    return change


def scale_by(factor: float) -> Change:
    def in_file(model: Any, conv: FileConv) -> None:
        scale = np.array(conv.weights.quantization.scale)
        scale[1] *= factor
        conv.weights.quantization.scale = scale

    return in_file
