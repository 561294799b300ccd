"""Writes a .tflite file of a trained model, and refuses to if the two disagree.

  A full-integer file for a phone, from a run or an ensemble:
    python -m tools.export_tflite --run=runs/product/all_domains-trial0/qtdog7 \
        --output=model.tflite

  Weights in 4 bits, of a model trained for it (--variants=qtdog4 --narrow_range=always):
    python -m tools.export_tflite --run=runs/a/night-trial0/qtdog4 --kind=int4 --output=small.tflite

  A network that has no integer file, or a float baseline:
    python -m tools.export_tflite --run=runs/a/night-trial0/erm --kind=float32 --output=erm.tflite

Every weight of the file is the code that training learned. Beside the file: <name>.report.txt and
.report.json with every check, <name>.log with what the converter said. A file that fails a check
does not get its name, and the exit code is 1.
"""

import sys
from pathlib import Path

import numpy as np
from absl import flags

from qtdog_tf.data import open_domains
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation import MODELS, Run, open_run
from qtdog_tf.export import (
    CalibrationChoice,
    ExportSettings,
    ModelInfo,
    Stages,
    calibration_choice,
    check_output,
    comparison_sets,
    export_model,
    format_report,
    plan_graph,
    report_values,
)
from qtdog_tf.files import write_json, write_text
from qtdog_tf.runs import versions
from tools._flags import define_flags, settings_from_flags
from tools._main import refuse_arguments, run_tool

EXIT_REFUSED = 1

FLAGS = flags.FLAGS
define_flags(ExportSettings)
flags.DEFINE_string(
    "run",
    None,
    "Folder of a run or of an ensemble: <output>/<targets>-trial<k>/<variant>.",
    required=True,
)
flags.DEFINE_string("output", None, "The file to write, <name>.tflite.", required=True)
flags.DEFINE_enum(
    "model", MODELS[0], MODELS, "Which model of the run; see python -m tools.evaluate --help."
)
flags.DEFINE_string(
    "data",
    "",
    "Images to compare file and model on: emoji_styles, a folder of <domain>/<class>/<image>, or "
    "tfds:<name>. Default: the data of the run.",
)
flags.DEFINE_string(
    "calibration_data",
    "",
    "Images to calibrate an integer file with, as --data. Default: training images of the run's "
    "source domains.",
)
flags.DEFINE_string("model_version", "1", "Version to write into the file's metadata.")


def main(argv: list[str]) -> None:
    """Exports, prints the report, and exits with 1 if the gate refused the file."""
    refuse_arguments(argv)
    settings = settings_from_flags(ExportSettings)
    output = Path(FLAGS.output)
    check_output(output)
    run = open_run(FLAGS.run)
    model = run.load_model(FLAGS.model)
    graph = plan_graph(model, settings)
    stages = Stages()
    with stages.stage("Reading images"):
        # Only ranges of integers come from images.
        calibration = choose_calibration(run, settings) if settings.is_integer else None
        domain_set = open_domains(FLAGS.data or run.data)
        image_sets = comparison_sets(
            run, domain_set, settings.parity_images, settings.calibration_seed
        )
    for warning in calibration.warnings if calibration else ():
        print(f"warning: {warning}", file=sys.stderr)
    export = export_model(
        model,
        graph,
        output,
        settings,
        model_info(run),
        calibration_pixels=calibration.pixels if calibration else np.empty(0, np.uint8),
        image_sets=image_sets,
        stages=stages,
    )
    text = format_report(export, settings, calibration)
    write_text(output.with_suffix(".report.txt"), text + "\n")
    values = {"run": str(run.path), "model": FLAGS.model, "versions": versions()}
    values |= report_values(export, settings, calibration)
    write_json(output.with_suffix(".report.json"), values)
    print(text)
    if not export.passed:
        print(f"error: {refusal(output)}", file=sys.stderr)
        sys.exit(EXIT_REFUSED)
    print(f"\n{settings.kind} file: {output}")


def refusal(output: Path) -> str:
    """What to say of a file that failed the gate."""
    return (
        f"the file failed the checks marked FAILED, so {output} was not written; the whole report "
        f"is in {output.with_suffix('.report.txt')}"
    )


def choose_calibration(run: Run, settings: ExportSettings) -> CalibrationChoice:
    """The calibration images."""
    domain_set = open_domains(FLAGS.calibration_data or run.data)
    if not FLAGS.calibration_data and not run.owns(domain_set):
        raise UserError(
            f"{run.data} is not what run {run.path} was trained on any more: name images to "
            "calibrate with by --calibration_data"
        )
    return calibration_choice(
        run, domain_set, settings.calibration_images, settings.calibration_seed
    )


def model_info(run: Run) -> ModelInfo:
    """What the file will say about itself."""
    sources = ", ".join(run.sources)
    return ModelInfo(
        name=f"{run.variant} {run.backbone}",
        description=f"Tells {len(run.classes)} classes apart; trained on {sources} of {run.data}.",
        version=FLAGS.model_version,
        classes=run.classes,
    )


if __name__ == "__main__":
    run_tool(main)
