r"""Writes one HTML file about runs, their analyses and their exported files.

  Everything of a study, averaged over targets and trials:
    python -m tools.report --runs=runs/flatness/erm,runs/flatness/sam --analyses=analyses \
        --exports=model.report.json --title="Is the minimum flatter?" --output=report.html

  Finished runs alone:
    python -m tools.report --runs=runs/estimate --output=report.html

The file needs no network and no other file: it opens from disk, on a phone too. Sections whose data
was not given are left out, and named at the end with the command that makes it. Where run folders
still hold their models, it shows predictions on the unseen domain; --nopredictions leaves them out.
"""

import shlex
import sys
from pathlib import Path

from absl import flags

from qtdog_tf.errors import UserError
from qtdog_tf.evaluation.method_names import BASELINE
from qtdog_tf.files import write_text
from qtdog_tf.pictures.gallery import MAX_IMAGES
from qtdog_tf.report.material import gather
from qtdog_tf.report.page import render
from qtdog_tf.report.sections import make_sections
from tools._main import refuse_arguments, run_tool

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "runs", "", "Folders of runs, of trials, or of all runs (output folders of tools.train)."
)
flags.DEFINE_list("analyses", "", "Output folders of tools.analyze.")
flags.DEFINE_list("exports", "", "Files <name>.report.json of tools.export_tflite.")
flags.DEFINE_string("output", None, "The file to write, .html.", required=True)
flags.DEFINE_string("title", "", "Title of the report.")
flags.DEFINE_string("baseline", BASELINE, "The method that the others are compared with.")
flags.DEFINE_bool("predictions", True, "Show what models that are still there say about images.")
flags.DEFINE_integer("images", 12, "Images of each gallery at most.", 1, MAX_IMAGES)
flags.DEFINE_integer("seed", 0, "Chooses the images of predictions.", 0)


def main(argv: list[str]) -> None:
    """Reads what was asked for and writes the page."""
    refuse_arguments(argv)
    output = Path(FLAGS.output)
    if output.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--output={output} must end in .html")
    material = gather(
        runs=FLAGS.runs,
        analyses=FLAGS.analyses,
        exports=FLAGS.exports,
        title=FLAGS.title,
        baseline=FLAGS.baseline,
        command=shlex.join(["python", "-m", "tools.report", *sys.argv[1:]]),
    )
    sections = make_sections(
        material, predictions=FLAGS.predictions, images=FLAGS.images, seed=FLAGS.seed
    )
    write_text(output, render(material, sections))
    print(f"report of {len(material.runs.runs)} runs: {output}, {_size(output)}")


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.2f} MB"


if __name__ == "__main__":
    run_tool(main)
