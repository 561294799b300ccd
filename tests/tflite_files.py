"""Small .tflite classifiers of 32-pixel images, converted in seconds, for tests of programs."""

import functools
from pathlib import Path

import numpy as np
import tensorflow as tf

IMAGE_SIZE = 32
CLASSES = ("animal", "food", "plant", "sign", "vehicle")
# Full int8 files by the type of their input and output; float32: no quantization; dynamic:
# float32 input and output, int8 weights.
KINDS = ("uint8", "int8", "float32", "dynamic")


class SmallClassifier(tf.Module):
    """Normalises, convolves, averages, multiplies; random weights whose classes all occur."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        # Converters leave weights of fewer than 1,024 numbers as they are.
        self.kernel = tf.constant(random.normal(size=(3, 3, 3, 48)), tf.float32)
        self.matrix = tf.constant(random.normal(size=(48, len(CLASSES))), tf.float32)
        # The mean image must be as likely to be of one class as of another.
        self.offset = tf.zeros(len(CLASSES))
        self.offset = -tf.reduce_mean(self.logits(tf.constant(colourful_images(64))), 0)

    def logits(self, pixels: tf.Tensor) -> tf.Tensor:
        x = (tf.cast(pixels, tf.float32) - 127.0) / 128.0
        x = tf.nn.relu(tf.nn.conv2d(x, self.kernel, 2, "SAME"))
        return tf.reduce_mean(x, [1, 2]) @ self.matrix + self.offset

    @tf.function(input_signature=[tf.TensorSpec([1, IMAGE_SIZE, IMAGE_SIZE, 3], tf.float32)])
    def probabilities(self, pixels: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(self.logits(pixels))


def colourful_images(count: int, seed: int = 1) -> np.ndarray:
    """Random images whose colours differ, uint8 [count, size, size, 3]; noise alone looks alike."""
    random = np.random.default_rng(seed)
    tint = random.uniform(0, 255, (count, 1, 1, 3))
    noise = random.normal(0, 40, (count, IMAGE_SIZE, IMAGE_SIZE, 3))
    return np.clip(np.rint(tint + noise), 0, 255).astype(np.uint8)


@functools.cache
def tflite_bytes(kind: str) -> bytes:
    """The classifier as a .tflite file of one of KINDS, without metadata."""
    module = SmallClassifier()
    function = module.probabilities.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind in ("uint8", "int8"):
        images = colourful_images(64).astype(np.float32)
        images[0], images[1] = 0, 255  # the range of pixels, so that codes are pixels
        converter.representative_dataset = lambda: ([image[None]] for image in images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = getattr(tf, kind)
    return converter.convert()


def write_tflite(folder: Path, kind: str = "uint8") -> Path:
    """Writes the file `<folder>/<kind>.tflite` and returns its path."""
    path = folder / f"{kind}.tflite"
    path.write_bytes(tflite_bytes(kind))
    return path


def expected_probabilities(images: np.ndarray) -> np.ndarray:
    """What TensorFlow computes for uint8 images before any conversion."""
    return tf.nn.softmax(SmallClassifier().logits(images)).numpy()
