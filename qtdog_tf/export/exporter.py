"""From a trained Keras model to a .tflite file that was compared with it number by number.

    plan_graph -> build_file -> metadata -> gate -> the file gets its name

A file that fails the gate never gets its name. Start with `export_model`.
"""

import dataclasses
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from qtdog_tf.errors import UserError
from qtdog_tf.export.build import Built, build_file
from qtdog_tf.export.checks.agreement import Agreement, ImageSet, check_agreement, compare
from qtdog_tf.export.checks.float_files import check_float_file
from qtdog_tf.export.checks.parity import Check, check_file
from qtdog_tf.export.graph import ops
from qtdog_tf.export.latency import measure_latency
from qtdog_tf.export.progress import Stages
from qtdog_tf.export.settings import FLOAT16, ExportSettings
from qtdog_tf.export.tflite.metadata import ModelInfo, add_metadata
from qtdog_tf.export.tflite.quiet import without_info
from qtdog_tf.export.tflite.runner import open_file
from qtdog_tf.export.tflite.sizes import Sizes, measure_sizes
from qtdog_tf.files import replacing

# Images on which every operator's output is compared with the simulation.
LAYER_CHECK_IMAGES = 4
# Half a step of float16's 11 bits.
_HALF_PRECISION = 2.0**-11


@dataclasses.dataclass(frozen=True, eq=False)
class Export:
    """What an export made and found.

    Attributes:
        passed: whether the gate let the file through.
        checks: of the gate, in order.
        agreements: file and model, by domain.
        sizes: of the file.
        latency: milliseconds an image by number of threads; None if the gate refused the file.
        built: how the file came about.
    """

    passed: bool
    checks: list[Check]
    agreements: list[Agreement]
    sizes: Sizes
    latency: dict[int, float] | None
    built: Built


def check_output(output: Path) -> None:
    """Refuses a path that is no new .tflite file.

    Raises:
        UserError: saying what is wrong with it.
    """
    if output.suffix != ".tflite":
        raise UserError(f"output {output} must end in .tflite")
    if output.exists():
        raise UserError(f"output {output} exists: remove it, or choose another name")


def export_model(
    model: keras.Model,
    graph: ops.Graph,
    output: Path,
    settings: ExportSettings,
    info: ModelInfo,
    *,
    calibration_pixels: np.ndarray,
    image_sets: Sequence[ImageSet],
    stages: Stages,
) -> Export:
    """Exports a model.

    Args:
        model: from raw pixels to logits.
        graph: what `plan_graph` returned for it.
        output: the file to write. What the converter says stays beside it, in `<name>.log`.
        settings: of the export.
        info: name, classes and the like, for the file's metadata.
        calibration_pixels: uint8 [n, S, S, 3], at least one; of source domains only. Not looked at
            for float activations.
        image_sets: to compare file and model on.
        stages: shows how far the work is.

    Returns:
        What was made and found. The file is there only if `passed`.

    Raises:
        UserError: if the model cannot be converted.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".exporting-", dir=output.parent))
    try:
        unchecked = folder / output.name
        log = output.with_suffix(".log")
        built = build_file(graph, unchecked, log, settings, calibration_pixels, stages)
        add_metadata(unchecked, info)
        checks, agreements = _gate(
            unchecked, model, graph, built, settings, calibration_pixels, image_sets, stages
        )
        passed = all(check.passed for check in checks)
        result = Export(
            passed=passed,
            checks=checks,
            agreements=agreements,
            sizes=measure_sizes(unchecked, graph, model),
            latency=measure_latency(unchecked) if passed else None,
            built=built,
        )
        if passed:
            with replacing(output) as temporary:
                shutil.copyfile(unchecked, temporary)
        return result
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _gate(
    path: Path,
    model: keras.Model,
    graph: ops.Graph,
    built: Built,
    settings: ExportSettings,
    pixels: np.ndarray,
    image_sets: Sequence[ImageSet],
    stages: Stages,
) -> tuple[list[Check], list[Agreement]]:
    with without_info():
        classifier = open_file(path)
    with classifier:
        with stages.stage("Comparing every number in the file"):
            if settings.is_integer:
                inputs = classifier.input_codes(pixels[:LAYER_CHECK_IMAGES])
                checks = check_file(path, graph, built.graph, built.dead, inputs)
            else:
                allowed = _HALF_PRECISION if settings.kind == FLOAT16 else 0.0
                checks = check_float_file(path, built.graph, allowed)
        images = sum(len(each.labels) for each in image_sets)
        with stages.stage("Comparing predictions", images) as advance:
            agreements = compare(model, classifier, image_sets, advance)
    return [*checks, check_agreement(agreements, settings.min_agreement)], agreements
