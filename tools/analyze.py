r"""Looks into trained models: flatness, curvature, noise, stability, calibration, attention.

  Everything, of every run in an output folder of tools.train:
    python -m tools.analyze --runs=runs/estimate --output=analyses

  Flatness of two runs, of the weights as trained and of SWAD's average, in 20 directions:
    python -m tools.analyze --runs=runs/a/line-trial0/erm,runs/a/line-trial0/qtdog7 \
        --models=selected,selected_swad --analyses=flatness --flatness_max_directions=20 \
        --output=analyses

  The loss in the plane through three models:
    python -m tools.analyze --runs=runs/a/line-trial0/erm --plane \
        --models=selected,selected_sma,selected_swad --analyses= --output=analyses

Each analysis of each model is a JSON file, and a picture, in <output>/<run>/<model>/. The same
command goes on with what an interrupted one left, and prints the table of what is there. All of it
on one page: python -m tools.report --analyses=analyses.
"""

import logging
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from absl import flags
from tqdm import tqdm

from qtdog_tf.analysis import ANALYSES, SINGLE_RUNS_ONLY, Record, Subject, loss_plane, run_label
from qtdog_tf.analysis.plane import PlaneSettings
from qtdog_tf.analysis.plane_record import PlaneRecord
from qtdog_tf.analysis.table import method_table
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation import MODELS, open_run
from qtdog_tf.evaluation.run_folder import find_runs
from qtdog_tf.pictures.analyses import draw_analysis
from qtdog_tf.pictures.plane import draw_plane
from tools._flags import define_flags, settings_from_flags
from tools._main import refuse_arguments, run_tool

# Each model is traced anew, as it must be; TensorFlow takes that for a mistake.
logging.getLogger("tensorflow").addFilter(lambda record: "retracing" not in record.getMessage())

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "runs",
    None,
    "Folders of runs, or output folders of tools.train for all in them.",
    required=True,
)
flags.DEFINE_string("output", None, "Folder for figures and pictures.", required=True)
flags.DEFINE_list(
    "models", "selected_sma", f"Models of each run to look into, of {', '.join(MODELS)}."
)
flags.DEFINE_list("analyses", list(ANALYSES), f"Which of {', '.join(ANALYSES)}. Default: all.")
flags.DEFINE_bool("plane", False, "The loss in the plane through the models, which must be three.")
flags.DEFINE_integer(
    "images", 1000, "Images of each part of each domain at most; 0: all of them (paper).", 0
)
flags.DEFINE_integer("seed", 0, "Chooses these images.", 0)
for _name, _analysis in ANALYSES.items():
    define_flags(_analysis.settings, prefix=f"{_name}_")
define_flags(PlaneSettings, prefix="plane_")


def main(argv: list[str]) -> None:
    """Makes what is missing and prints the table."""
    refuse_arguments(argv)
    records, plane = plan()
    there = {record.path: record.read() for record in records}
    plane_there = plane.read() if plane else None
    missing = [record for record in records if there[record.path] is None]
    if len(missing) < len(records):
        print(f"{len(records) - len(missing)} of {len(records)} analyses are there already")
    for record in records:
        draw_if_missing(record, there[record.path])
    with tqdm(missing, desc="analyses", unit="analysis", disable=None) as bar:
        for record in bar:
            bar.set_postfix_str(f"{record.analysis} of {record.folder.relative_to(FLAGS.output)}")
            there[record.path] = make(record)
    if plane and plane_there is None:
        make_plane(plane)
    elif plane and plane_there and not plane.picture.exists():
        draw_plane(plane_there["result"], plane.picture)
    found = [values for values in there.values() if values is not None]
    if found:
        print(method_table(found))
    print(f"figures and pictures: {FLAGS.output}")


def subjects() -> list[Subject]:
    """Every model to look into, that of one run after that of another.

    Raises:
        UserError: if a run or one of its models is not there, or a model has no such name.
    """
    for name in FLAGS.models:
        if name not in MODELS:
            raise UserError(f"--models must be some of {', '.join(MODELS)}; received {name!r}")
    runs = [open_run(path) for path in find_runs(FLAGS.runs)]
    found = [
        Subject(run, model, FLAGS.images or None, FLAGS.seed)
        for run in runs
        for model in FLAGS.models
    ]
    for subject in found:
        subject.run.model_path(subject.model)
    labels = [run_label(run.path) for run in runs]
    twice = [label for label in labels if labels.count(label) > 1]
    if twice:
        raise UserError(f"two runs end in {twice[0]}: analyse them into folders of their own")
    return found


def plan() -> tuple[list[Record], PlaneRecord | None]:
    """Every analysis that the flags ask for, the quick ones of all models first; and the plane.

    Raises:
        UserError: for an analysis that does not exist, a setting that is not allowed, a plane
            through another number of models than three, or as `subjects`.
    """
    unknown = [name for name in FLAGS.analyses if name not in ANALYSES]
    if unknown:
        raise UserError(
            f"--analyses must be some of {', '.join(ANALYSES)}; received {unknown[0]!r}"
        )
    settings = {
        name: settings_from_flags(ANALYSES[name].settings, prefix=f"{name}_")
        for name in ANALYSES
        if name in FLAGS.analyses
    }
    if not settings and not FLAGS.plane:
        raise UserError("there is nothing to do: name --analyses, or --plane")
    plane = settings_from_flags(PlaneSettings, prefix="plane_")
    chosen, output = subjects(), Path(FLAGS.output)
    records = [
        Record(output, name, subject, of_analysis)
        for name, of_analysis in settings.items()
        for subject in chosen
        if not (subject.run.members and name in SINGLE_RUNS_ONLY)
    ]
    return records, PlaneRecord.through(output, chosen, plane) if FLAGS.plane else None


def make(record: Record) -> dict[str, Any]:
    """Makes one analysis, writes its figures and draws its picture."""
    analysis = ANALYSES[record.analysis]
    began = time.monotonic()
    with tqdm(
        total=analysis.steps(record.settings), desc=record.analysis, disable=None, leave=False
    ) as bar:
        result = analysis.run(
            record.subject, record.settings, lambda done: bar.update(done - bar.n)
        )
    values = record.describe(result, time.monotonic() - began, command())
    # The figures come first: whatever becomes of the picture, they are not lost. A picture of
    # others must not be taken for theirs.
    record.picture.unlink(missing_ok=True)
    record.write(values)
    draw_if_missing(record, values)
    return values


def draw_if_missing(record: Record, values: dict[str, Any] | None) -> None:
    """Draws the picture of figures that are there, if it is not."""
    if values is not None and not record.picture.exists():
        draw_analysis(values, record.picture, record.subject.run.classes)


def make_plane(plane: PlaneRecord) -> None:
    """Measures the loss in a plane, writes its figures and draws its picture."""
    models = list(plane.subjects.values())
    began = time.monotonic()
    with tqdm(total=plane.settings.side**2, desc="plane", disable=None, leave=False) as bar:
        result = loss_plane(
            [subject.load() for subject in models],
            list(plane.subjects),
            models[0].samples,
            plane.settings,
            on_point=lambda done: bar.update(done - bar.n),
        )
    plane.picture.unlink(missing_ok=True)
    plane.write(result, time.monotonic() - began, command())
    draw_plane(result, plane.picture)


def command() -> str:
    """The command line, as it can be given again."""
    return shlex.join(["python", "-m", "tools.analyze", *sys.argv[1:]])


if __name__ == "__main__":
    run_tool(main, resumes=True, place="the last analysis")
