"""Runs an exported .tflite classifier on pixels with LiteRT, as a phone does.

Whatever number type the file takes and gives, pixels go in as 0 to 255 and probabilities come out
as float32. Start from `open_file`:

    with open_file("model.tflite", threads=2) as classifier:
        probabilities = classifier.predict(images)  # uint8 [n, size, size, 3]
"""

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from qtdog_tf.child import LITERT_CHILD, what_is_wrong
from qtdog_tf.errors import UserError
from qtdog_tf.export.tflite.flatbuffer_file import read_contents, unpack_model
from qtdog_tf.export.tflite.metadata import info_of

_PIXEL_TYPES = ("uint8", "int8", "float32")
_INT8_OFFSET = 128


def round_pixels(pixels: np.ndarray) -> np.ndarray:
    """Rounds pixels to the integers that a camera gives: to the nearest, ties to even.

    It rounds as `resize_squash` in `qtdog_tf.data` does; every other place calls this function.

    Args:
        pixels: any number type; values outside of 0 to 255 are clipped.

    Returns:
        uint8, the same shape.
    """
    if pixels.dtype == np.uint8:
        return pixels
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def open_file(path: Path, threads: int = 1) -> "TFLiteClassifier":
    """Opens a .tflite classifier.

    Args:
        path: the file.
        threads: how many the interpreter may use for one image, at least 1.

    Raises:
        UserError: if the file cannot be read, is damaged, cannot be run, is not a classifier of
            square RGB images, or names another number of classes than it has.
    """
    return TFLiteClassifier(path, threads)


class TFLiteClassifier:
    """A .tflite classifier in memory, to be closed or used in a `with` block.

    One instance serves one thread at a time. Images go through one by one, as on a phone: a batch
    of 8 gained 0 to 15 % (EfficientNet-Lite0, 64 and 224 pixels, int8 and float32).

    Args:
        path: the file.
        threads: how many the interpreter may use for one image.

    Attributes:
        path: the file.
        classes: names of the classes from the file's metadata, or None if it carries none.
        class_count: number of classes.
        image_size: height and width of the images, pixels.
        input_type: "uint8", "int8" or "float32".
        output_type: likewise.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        self.path = Path(path)
        # The bytes that were checked are the bytes that run, whatever becomes of the file.
        contents = read_contents(self.path)
        info = info_of(unpack_model(contents, self.path), contents, self.path)
        self.classes = (info.classes or None) if info else None
        refused = what_is_wrong(LITERT_CHILD, contents=contents)
        if refused is not None:
            raise UserError(f"LiteRT cannot run {self.path}: {refused}")
        try:
            self._interpreter = Interpreter(model_content=contents, num_threads=threads)
            self._interpreter.allocate_tensors()
            inputs = self._interpreter.get_input_details()
            outputs = self._interpreter.get_output_details()
        except (ValueError, RuntimeError) as error:
            raise UserError(f"LiteRT cannot run {self.path}: {_first_line(error)}") from error
        self._check_signature(inputs, outputs)
        (self._input,), (self._output,) = inputs, outputs
        self.image_size = int(self._input["shape"][1])
        self.class_count = int(self._output["shape"][1])
        self.input_type = np.dtype(self._input["dtype"]).name
        self.output_type = np.dtype(self._output["dtype"]).name
        if self.classes is not None and len(self.classes) != self.class_count:
            raise UserError(
                f"{self.path} names {len(self.classes)} classes in its metadata and gives "
                f"{self.class_count} probabilities: export it again"
            )

    def __enter__(self) -> "TFLiteClassifier":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Frees the interpreter and the file's contents; closing twice is fine."""
        self._interpreter = None

    def predict(self, pixels: np.ndarray) -> np.ndarray:
        """Computes the probabilities of the classes.

        Args:
            pixels: [n, image_size, image_size, 3], RGB from 0 to 255, uint8 or floating. Unless
                the file takes float32, fractions are rounded by `round_pixels`.

        Returns:
            float32 [n, class_count].

        Raises:
            ValueError: if the pixels are of another shape, or the classifier is closed.
        """
        codes = self.predict_codes(pixels)
        if self.output_type == "float32":
            return codes
        scale, zero_point = self._output["quantization"]
        return (codes.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)

    def predict_codes(self, pixels: np.ndarray) -> np.ndarray:
        """Computes what the file itself gives: `predict` before the output is dequantized.

        Returns:
            [n, class_count] of the type `output_type`.
        """
        size = self.image_size
        if pixels.ndim != 4 or pixels.shape[1:] != (size, size, 3):
            raise ValueError(f"pixels are {pixels.shape}, [n, {size}, {size}, 3] is needed")
        codes = np.empty((len(pixels), self.class_count), self._output["dtype"])
        for number, image in enumerate(self.input_codes(pixels)):
            codes[number] = self.run(image[None])[0]
        return codes

    def input_codes(self, pixels: np.ndarray) -> np.ndarray:
        """Turns pixels into the numbers that the file takes, of the type `input_type`."""
        if self.input_type == "float32":
            return pixels.astype(np.float32, copy=False)
        rounded = round_pixels(pixels)
        if self.input_type == "int8":
            return (rounded.astype(np.int16) - _INT8_OFFSET).astype(np.int8)
        return rounded

    def run(self, codes: np.ndarray) -> np.ndarray:
        """Runs the file once.

        Args:
            codes: [1, image_size, image_size, 3] as `input_codes` gives them.

        Returns:
            [1, class_count] of the type `output_type`, a copy.

        Raises:
            UserError: if LiteRT fails.
            ValueError: if the classifier is closed.
        """
        if self._interpreter is None:
            raise ValueError(f"{self.path} is closed")
        self._interpreter.set_tensor(self._input["index"], codes)
        try:
            self._interpreter.invoke()
        except RuntimeError as error:
            raise UserError(f"LiteRT cannot run {self.path}: {_first_line(error)}") from error
        return self._interpreter.get_tensor(self._output["index"])

    def _check_signature(self, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> None:
        """Refuses what is not one image in, one vector of probabilities out."""
        found = f"{_signature(inputs)} -> {_signature(outputs)}"
        wanted = "[1, size, size, 3] -> [1, classes] of uint8, int8 or float32"
        fits = len(inputs) == len(outputs) == 1
        if fits:
            taken, given = list(inputs[0]["shape"]), list(outputs[0]["shape"])
            fits = len(taken) == 4 and taken[0] == 1 and taken[1] == taken[2] > 0 and taken[3] == 3
            fits &= len(given) == 2 and given[0] == 1 and given[1] > 0
            types = {np.dtype(tensor["dtype"]).name for tensor in (*inputs, *outputs)}
            fits &= types <= set(_PIXEL_TYPES)
        if not fits:
            raise UserError(f"{self.path} is no image classifier: {found}; {wanted} is needed")


def _signature(tensors: list[dict[str, Any]]) -> str:
    described = [f"{np.dtype(t['dtype']).name} {[int(n) for n in t['shape']]}" for t in tensors]
    return ", ".join(described) or "nothing"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
