r"""Checks that MediaPipe, the usual client on a phone, sees in images what LiteRT sees.

MediaPipe opens the file as it is, with the class names from its metadata. It needs an environment
of its own: its absl-py and that of tensorflow-model-optimization exclude each other.

  python -m venv .venv-mediapipe && .venv-mediapipe/bin/pip install mediapipe
  python -m tools.check_mediapipe --file=model.tflite --python=.venv-mediapipe/bin/python
  python -m tools.check_mediapipe --file=model.tflite --python=... --data=photos --images=500

Images are resized to the model's size before, since MediaPipe resizes in a way of its own. The exit
code is 1 if a top-1 class or a class name differs.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import flags

from qtdog_tf.data import emoji_styles_root
from qtdog_tf.data.embedded import EMOJI_STYLES
from qtdog_tf.errors import UserError
from qtdog_tf.export.image_files import list_images, read_images
from qtdog_tf.export.tflite.quiet import without_info
from qtdog_tf.export.tflite.runner import open_file
from tools._main import refuse_arguments, run_tool

EXIT_DIFFERENT = 1
CHILD = Path(__file__).with_name("_mediapipe_child.py")
INSTALL = "python -m venv .venv-mediapipe && .venv-mediapipe/bin/pip install mediapipe"

FLAGS = flags.FLAGS
flags.DEFINE_string("file", None, "The .tflite file, of uint8 or float32 input.", required=True)
flags.DEFINE_string("data", EMOJI_STYLES, "emoji_styles, or a folder of images at any depth.")
flags.DEFINE_integer("images", 100, "How many images, chosen at random.", 1)
flags.DEFINE_integer("seed", 0, "Chooses them.")
flags.DEFINE_string("python", sys.executable, "The Python that has mediapipe.")


def main(argv: list[str]) -> None:
    """Compares, prints the agreement."""
    refuse_arguments(argv)
    with without_info():
        opened = open_file(Path(FLAGS.file))
    with opened as classifier:
        names = classifier.classes or ()
        pixels = choose_pixels(classifier.image_size)
        probabilities = classifier.predict(pixels)
    answer = run_mediapipe(pixels)
    firsts = [result[0]["index"] for result in answer["results"]]
    # Of equal probabilities either may be first.
    best = probabilities[np.arange(len(firsts)), firsts] == probabilities.max(axis=1)
    named = {c["index"]: c["name"] for result in answer["results"] for c in result}
    wrong = [n for n, name in enumerate(names) if named.get(n) != name]
    print(f"MediaPipe {answer['version']} and LiteRT on {len(best)} images of {FLAGS.data}")
    print(f"top-1 class: agree on {np.count_nonzero(best)} of {len(best)}")
    agreement = f"agree on {len(names) - len(wrong)} of {len(names)}"
    print(f"class names: {agreement if names else 'the file carries none'}")
    print(
        f"largest difference of a probability: {difference(answer['results'], probabilities):.2g}"
    )
    if not best.all() or wrong:
        sys.exit(EXIT_DIFFERENT)


def choose_pixels(size: int) -> np.ndarray:
    """Random images of the data, uint8 [n, size, size, 3].

    Raises:
        UserError: if there are none, or one cannot be read.
    """
    folder = emoji_styles_root() if FLAGS.data == EMOJI_STYLES else Path(FLAGS.data)
    if not folder.is_dir():
        raise UserError(
            f"--data={FLAGS.data} is no folder: name emoji_styles or a folder of images"
        )
    paths = list_images([str(folder)])
    random = np.random.default_rng(FLAGS.seed)
    chosen = random.choice(len(paths), min(FLAGS.images, len(paths)), replace=False)
    found = []
    for image in read_images([paths[index] for index in sorted(chosen)], size):
        if image.pixels is None:
            raise UserError(f"image {image.path} {image.problem}: replace or remove it")
        found.append(image.pixels)
    return np.stack(found)


def run_mediapipe(pixels: np.ndarray) -> dict[str, Any]:
    """What MediaPipe sees; see _mediapipe_child.py.

    Raises:
        UserError: if it is not installed or refuses the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.png" for number in range(len(pixels))]
        for path, image in zip(paths, pixels, strict=True):
            path.write_bytes(tf.io.encode_png(image).numpy())
        command = [FLAGS.python, str(CHILD), FLAGS.file, *map(str, paths)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        except OSError as error:
            raise UserError(f"--python={FLAGS.python} cannot be run: {error.strerror}") from error
        except subprocess.CalledProcessError as error:
            last = ([*error.stderr.splitlines(), ""])[-1 - bool(error.stderr)]
            raise UserError(f"MediaPipe ended with code {error.returncode}: {last}") from error
    answer = json.loads(done.stdout)
    if "missing" in answer:
        raise UserError(
            f"{FLAGS.python} has no mediapipe ({answer['missing']}): `{INSTALL}`, then add "
            "--python=.venv-mediapipe/bin/python"
        )
    if "error" in answer:
        raise UserError(f"MediaPipe refuses {FLAGS.file}: {answer['error']}")
    return answer


def difference(results: Sequence[Sequence[dict[str, Any]]], probabilities: np.ndarray) -> float:
    """The largest difference of a probability in any image."""
    return max(
        abs(category["score"] - float(row[category["index"]]))
        for result, row in zip(results, probabilities, strict=True)
        for category in result
    )


if __name__ == "__main__":
    run_tool(main)
