r"""Tests .tflite files on domains of images: accuracy, size and speed of the files themselves.

  python -m tools.evaluate_tflite --files=erm.tflite,qtdog7.tflite,eoq7.tflite \
      --data=photos --domains=night

Class names are those in the files. Latencies are measured in turn in one process, one image at a
time; ratios are to the first file. For more on speed: python -m tools.benchmark_tflite. To compare
a file with its model: python -m tools.export_tflite writes a report.
"""

import dataclasses
from pathlib import Path

import numpy as np
from absl import flags
from tqdm import tqdm

from qtdog_tf.data import open_domains
from qtdog_tf.data.domains import DomainSet
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation.pixels import read_pixels
from qtdog_tf.export.latency import run_on_noise
from qtdog_tf.export.tflite.quiet import without_info
from qtdog_tf.export.tflite.runner import TFLiteClassifier, open_file
from qtdog_tf.export.timing import summarize, time_in_turn
from qtdog_tf.files import write_json
from qtdog_tf.tables import format_table
from tools._main import refuse_arguments, run_tool

ROUNDS, ROUND_SECONDS, WARM_UP = 15, 0.1, 0.3
LEGEND = """\
Accuracy of the files in %, on all images of each domain whose class the file knows. ms/image and
ratio (to the first file): median and middle half of the rounds, one image at a time, one thread."""

FLAGS = flags.FLAGS
flags.DEFINE_list("files", None, "The .tflite files; ratios are to the first.", required=True)
flags.DEFINE_string(
    "data",
    None,
    "Images: emoji_styles, a folder of <domain>/<class>/<image>, or tfds:<name>.",
    required=True,
)
flags.DEFINE_list("domains", "", "Domains to test on. Default: all.")
flags.DEFINE_integer("seed", 0, "Chooses the order of timing, and the pixels.", 0)
flags.DEFINE_string("output", "", "JSON file for the figures.")


@dataclasses.dataclass(frozen=True)
class FileFigures:
    """What was measured of one file.

    Attributes:
        file: the path as given.
        bytes: on disk.
        accuracy: by domain, 0 to 1.
        images: by domain, how many were of a class that the file knows.
        skipped: by domain, the others by class.
        milliseconds: for one image, one value a round.
        ratios: to the first file, one value a round.
    """

    file: str
    bytes: int
    accuracy: dict[str, float]
    images: dict[str, int]
    skipped: dict[str, dict[str, int]]
    milliseconds: list[float]
    ratios: list[float]


def main(argv: list[str]) -> None:
    """Evaluates, times, prints the table."""
    refuse_arguments(argv)
    output = Path(FLAGS.output) if FLAGS.output else None
    if output and output.is_dir():
        raise UserError(f"--output={output} is a folder, the name of a file is needed")
    if not FLAGS.files:
        raise UserError("--files= names no file: name one .tflite file or more")
    if len(set(FLAGS.files)) < len(FLAGS.files):
        raise UserError(f"--files={','.join(FLAGS.files)} names a file twice")
    with without_info():
        classifiers = {file: open_file(Path(file)) for file in FLAGS.files}
    domain_set = open_domains(FLAGS.data)
    domains = [domain_set.domain(name).name for name in FLAGS.domains or domain_set.names]
    times = time_files(classifiers)
    first = times[FLAGS.files[0]]
    figures = []
    for file, classifier in classifiers.items():
        accuracy, images = evaluate(classifier, domain_set, domains)
        figures.append(
            FileFigures(
                file=file,
                bytes=Path(file).stat().st_size,
                accuracy=accuracy,
                images=images,
                skipped={name: skipped(classifier, domain_set, name) for name in domains},
                milliseconds=[1000 * seconds for seconds in times[file]],
                ratios=[mine / other for mine, other in zip(times[file], first, strict=True)],
            )
        )
    print(table(figures, domains))
    for note in notes(figures):
        print(f"\nnote: {note}")
    if output:
        write_json(output, [dataclasses.asdict(entry) for entry in figures])


def evaluate(
    classifier: TFLiteClassifier, domain_set: DomainSet, domains: list[str]
) -> tuple[dict[str, float], dict[str, int]]:
    """Accuracy and number of images by domain.

    Raises:
        UserError: if the file names no classes, or knows none of a domain's.
    """
    if classifier.classes is None:
        raise UserError(f"{classifier.path} names no classes: tools.export_tflite writes them")
    known = list(classifier.classes)
    numbers = np.array([known.index(c) if c in known else -1 for c in domain_set.classes])
    accuracy, images = {}, {}
    for name in domains:
        domain = domain_set.domain(name)
        labels = numbers[domain.labels]
        chosen = np.flatnonzero(labels >= 0)
        if not len(chosen):
            raise UserError(f"domain {name} has no image of a class that {classifier.path} knows")
        pixels = read_pixels(domain.paths_at(chosen), classifier.image_size)
        # disable=None: on a terminal only, where it is gone when the table comes.
        with tqdm(total=len(pixels), desc=name, unit="image", disable=None, leave=False) as bar:
            named = np.empty(len(pixels), np.int64)
            for number, image in enumerate(pixels):
                named[number] = classifier.predict(image[None]).argmax()
                bar.update()
        accuracy[name] = float(np.mean(named == labels[chosen]))
        images[name] = len(chosen)
    return accuracy, images


def skipped(classifier: TFLiteClassifier, domain_set: DomainSet, name: str) -> dict[str, int]:
    """How many images of a domain are of a class that a file does not know, by class."""
    counts = np.bincount(domain_set.domain(name).labels, minlength=len(domain_set.classes))
    known = classifier.classes or ()
    pairs = zip(domain_set.classes, counts.tolist(), strict=True)
    return {c: count for c, count in pairs if count and c not in known}


def notes(figures: list[FileFigures]) -> list[str]:
    """What a reader of the table must know: the images that a file was not asked about."""
    files_of: dict[str, list[str]] = {}
    for entry in figures:
        for name, of_class in entry.skipped.items():
            if of_class:
                note = (
                    f"{name}: skipped {sum(of_class.values())} images of classes that the file "
                    f"does not know: {', '.join(f'{c} ({n})' for c, n in of_class.items())}"
                )
                files_of.setdefault(note, []).append(Path(entry.file).name)
    # What holds for every file is said without their names.
    return [
        note if len(files) == len(figures) else f"{', '.join(files)}: {note}"
        for note, files in files_of.items()
    ]


def time_files(classifiers: dict[str, TFLiteClassifier]) -> dict[str, list[float]]:
    """Seconds for one image, one value a round, by file."""
    calls = {file: run_on_noise(each, FLAGS.seed) for file, each in classifiers.items()}
    return time_in_turn(
        calls, rounds=ROUNDS, seconds=ROUND_SECONDS, warm_up=WARM_UP, seed=FLAGS.seed
    )


def table(figures: list[FileFigures], domains: list[str]) -> str:
    """One row a file."""
    rows = []
    for entry in figures:
        time, ratio = summarize(entry.milliseconds), summarize(entry.ratios)
        rows.append(
            [
                Path(entry.file).name,
                *(f"{100 * entry.accuracy[name]:.1f}" for name in domains),
                f"{entry.bytes:,}",
                f"{time.median:.2f}",
                f"{ratio.median:.2f}",
                f"{ratio.low:.2f}-{ratio.high:.2f}",
            ]
        )
    header = ["file", *domains, "bytes", "ms/image", "ratio", "25-75 %"]
    return format_table(header, rows) + "\n" + LEGEND


if __name__ == "__main__":
    run_tool(main)
