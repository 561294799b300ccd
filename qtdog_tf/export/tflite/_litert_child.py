"""Runs a .tflite model once on trial, in a process of its own that may crash.

`python -I _litert_child.py < model.tflite` allocates and runs it on zeros. LiteRT is written in C++
and ends its process when a number in the file does not fit another. The last line on standard
output is the reason to refuse the file; without one it is fine. Nothing of this package is
imported, so that it starts in a tenth of a second.
"""

import os
import resource
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter

# Beside the file: Python, LiteRT and the activations of one image.
_MEMORY_BYTES, _MEMORY_FILES = 4 * 2**30, 4
_CPU_SECONDS = 240


def main(contents: bytes) -> None:
    """Prints why a model is refused, nothing if it is fine."""
    memory = _MEMORY_BYTES + _MEMORY_FILES * len(contents)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        interpreter = Interpreter(model_content=contents, num_threads=1)
        interpreter.allocate_tensors()
        for tensor in interpreter.get_input_details():
            interpreter.set_tensor(
                tensor["index"], np.zeros(tuple(tensor["shape"]), tensor["dtype"])
            )
        interpreter.invoke()
        for tensor in interpreter.get_output_details():
            interpreter.get_tensor(tensor["index"])
    except Exception as error:  # of whatever type LiteRT's messages are translated into
        text = " ".join(str(error).split()).rstrip(".")
        print(text or type(error).__name__, flush=True)
    # Without the interpreter's own end, which is not what is tried.
    os._exit(0)


if __name__ == "__main__":
    main(sys.stdin.buffer.read())
