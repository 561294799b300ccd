"""Converts a SavedModel to a .tflite file, in a process of its own; see `convert.py`.

`python -P _convert_child.py <SavedModel> <file> <options as JSON>`. Nothing of this package is
imported, so that it starts as fast as TensorFlow does.
"""

import json
import sys
from pathlib import Path

import tensorflow as tf


def main(saved_model: str, output: str, options: str) -> None:
    """Converts.

    Args:
        saved_model: the folder to convert.
        output: the file to write.
        options: what the converter's attributes are set to: "optimize", "half" and "ends", the
            type of an integer file's input and output, or null.
    """
    chosen = json.loads(options)
    converter = tf.lite.TFLiteConverter.from_saved_model(saved_model)
    if chosen["optimize"]:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if chosen["half"]:
        converter.target_spec.supported_types = [tf.float16]
    if chosen["ends"]:
        converter.inference_input_type = tf.as_dtype(chosen["ends"])
        converter.inference_output_type = tf.as_dtype(chosen["ends"])
    Path(output).write_bytes(converter.convert())


if __name__ == "__main__":
    main(*sys.argv[1:])
