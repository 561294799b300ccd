r"""Says what an exported .tflite file sees in images.

  python -m tools.predict --file=model.tflite photo1.jpg photos/
  python -m tools.predict --file=model.tflite --format=json --output=predictions.json photos/
  find photos -newer mark -name '*.jpg' | python -m tools.predict --file=model.tflite -

Images are files, folders (with everything below them) or, for -, a list of both on standard input,
one path a line. They are decoded and resized as in the evaluations of training. A name that starts
with a dash comes after --.

Images that cannot be read are named and left out; the exit code is then 1.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import flags
from tqdm import tqdm

from qtdog_tf.errors import UserError
from qtdog_tf.export.image_files import ReadImage, list_images, read_images
from qtdog_tf.export.tflite.labels import class_names
from qtdog_tf.export.tflite.quiet import without_info
from qtdog_tf.export.tflite.runner import TFLiteClassifier, open_file
from qtdog_tf.files import write_text
from qtdog_tf.tables import format_table
from tools._main import run_tool

# The path of an image and the probabilities of its classes, float32 [classes].
Prediction = tuple[str, np.ndarray]

EXIT_SKIPPED = 1
FORMATS = ("table", "json")

FLAGS = flags.FLAGS
flags.DEFINE_string("file", None, "The .tflite file.", required=True)
flags.DEFINE_enum("format", FORMATS[0], FORMATS, "How to write the predictions.")
flags.DEFINE_integer("top", 3, "How many classes to show for an image, the likeliest first.", 1)
flags.DEFINE_integer(
    "threads",
    2,
    "Threads of the interpreter, which takes one image at a time; meanwhile all cores decode.",
    1,
)
flags.DEFINE_string(
    "labels", "", "Text file with the class names, one a line. Default: those in the file itself."
)
flags.DEFINE_string("output", "", "File to write the predictions to. Default: standard output.")


def main(argv: list[str]) -> None:
    """Predicts, writes the predictions, then names what was skipped."""
    output = Path(FLAGS.output) if FLAGS.output else None
    if output and output.is_dir():
        raise UserError(f"--output={output} is a folder, the name of a file is needed")
    arguments = arguments_of(argv)
    with without_info():
        opened = open_file(Path(FLAGS.file), FLAGS.threads)
    with opened as classifier:
        names = class_names(classifier, Path(FLAGS.labels) if FLAGS.labels else None)
        paths = list_images(arguments)
        predictions, skipped = predict(classifier, paths)
    is_json = FLAGS.format == "json"
    text = as_json(predictions, skipped, names) if is_json else as_table(predictions, names)
    if output:
        write_text(output, text + "\n")
        print(f"predictions for {len(predictions):,} images: {output}")
    else:
        print(text)
    if skipped:
        for image in skipped:
            print(f"skipped: {printable(image.path)} {image.problem}", file=sys.stderr)
        print(f"skipped {len(skipped):,} of {len(paths):,} images", file=sys.stderr)
        sys.exit(EXIT_SKIPPED)


def arguments_of(argv: Sequence[str]) -> list[str]:
    """The files and folders that were named, on the command line or on standard input.

    Raises:
        UserError: if there are none.
    """
    arguments: list[str] = []
    for argument in argv[1:]:
        if argument == "-":
            # Names of files are bytes: they need not be text.
            lines = sys.stdin.buffer.read().splitlines()
            arguments += [os.fsdecode(line) for line in lines if line]
        else:
            arguments.append(argument)
    if not arguments:
        raise UserError("no images: name files or folders, or - for a list on standard input")
    return arguments


def predict(
    classifier: TFLiteClassifier, paths: Sequence[str]
) -> tuple[list[Prediction], list[ReadImage]]:
    """Runs the file on images.

    Returns:
        The predictions, and the images that could not be read.
    """
    # Two interpreters side by side are no faster than one with two threads: on two cores 5.4 and
    # 5.4 ms an image (float32), 5.5 and 5.3 ms (int8; EfficientNet-Lite0, 224 pixels).
    predictions: list[Prediction] = []
    skipped: list[ReadImage] = []
    # disable=None: on a terminal only, where it is gone when the table comes.
    with tqdm(total=len(paths), unit="image", disable=None, leave=False) as bar:
        for image in read_images(paths, classifier.image_size):
            if image.pixels is None:
                skipped.append(image)
            else:
                predictions.append((image.path, classifier.predict(image.pixels[None])[0]))
            bar.update()
    return predictions, skipped


def likeliest(probabilities: np.ndarray) -> list[int]:
    """The numbers of the --top likeliest classes, the likeliest first."""
    return [int(number) for number in np.argsort(-probabilities, kind="stable")[: FLAGS.top]]


def as_table(predictions: Sequence[Prediction], names: Sequence[str]) -> str:
    """One row an image: the likeliest classes, each with its probability in %."""
    shown = min(FLAGS.top, len(names))
    header = ["image", *(text for rank in range(1, shown + 1) for text in (f"{rank}.", "%"))]
    rows = []
    for path, probabilities in predictions:
        row = [printable(path)]
        for number in likeliest(probabilities):
            row += [printable(names[number]), f"{100 * probabilities[number]:.1f}"]
        rows.append(row)
    return format_table(header, rows)


def as_json(
    predictions: Sequence[Prediction], skipped: Sequence[ReadImage], names: Sequence[str]
) -> str:
    """The likeliest classes with their probabilities, and what was skipped."""
    images = [
        {
            "path": printable(path),
            "predictions": [
                {"class": names[number], "probability": float(probabilities[number])}
                for number in likeliest(probabilities)
            ],
        }
        for path, probabilities in predictions
    ]
    left_out = [{"path": printable(image.path), "problem": image.problem} for image in skipped]
    return json.dumps({"file": FLAGS.file, "images": images, "skipped": left_out}, indent=2)


def printable(path: str) -> str:
    """A path or a name as text; what is none, or moves the cursor of a terminal, is replaced."""
    text = os.fsencode(path).decode("utf-8", "replace")
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


if __name__ == "__main__":
    # Flags may come after images too.
    FLAGS.set_gnu_getopt(True)
    run_tool(main)
