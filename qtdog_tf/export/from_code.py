"""Export in one call, for a model and images that are in memory. Start with `export_tflite`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from qtdog_tf.errors import UserError
from qtdog_tf.export.build import plan_graph
from qtdog_tf.export.checks.agreement import ImageSet
from qtdog_tf.export.exporter import Export, check_output, export_model
from qtdog_tf.export.progress import Stages
from qtdog_tf.export.settings import ExportSettings
from qtdog_tf.export.tflite.metadata import ModelInfo
from qtdog_tf.export.tflite.runner import round_pixels


def export_tflite(
    model: keras.Model,
    output: str | Path,
    images: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    **settings: Any,
) -> Export:
    """Writes a .tflite file of a model, if the two agree.

    Args:
        model: functional or sequential, from raw pixels [n, S, S, 3] to logits [n, classes].
        output: the file to write, <name>.tflite; it must not exist.
        images: training images, pixels 0..255, [n, S, S, 3]; at least one. The ranges of the
            activations come from them, and file and model are compared on them.
        labels: int [n], their classes.
        classes: names of the classes, in the order of the logits.
        **settings: fields of `ExportSettings`, e.g. `kind="int8"`, `input_type="uint8"`.

    Returns:
        What was made and found. If file and model do not agree, `passed` is false and there is no
        file: look at `checks`.

    Raises:
        UserError: if the file exists or is no .tflite, the model cannot be read (a subclass, or not
            built) or has no file of that kind, naming the layer, it has not one logit a class, or
            the images do not fit or are scaled to 0 to 1.

    Example:

        export = export_tflite(model, "model.tflite", images, labels, ["cat", "dog"])
        print(export.passed, [check.detail for check in export.checks])
    """
    output = Path(output)
    check_output(output)
    chosen = ExportSettings(**settings)
    graph = plan_graph(model, chosen)
    if graph.output.shape != (len(classes),):
        raise UserError(
            f"model {model.name!r} gives numbers of shape {list(graph.output.shape)} for an image, "
            f"and {len(classes)} classes are named: one logit a class is needed"
        )
    images, labels = np.asarray(images), np.asarray(labels)
    shape = graph.image.shape
    if images.shape[1:] != shape or not len(images) or labels.shape != images.shape[:1]:
        raise UserError(
            f"images of shape [n, {', '.join(map(str, shape))}] and labels of shape [n] are "
            f"needed; received {list(images.shape)} and {list(labels.shape)}"
        )
    if images.dtype.kind == "f" and images.max() <= 1:
        raise UserError(
            f"images must have pixels from 0 to 255; received floats of at most {images.max():g}, "
            "which would be rounded to 0 and 1: the model has to take raw pixels, and scale them "
            "itself by a Rescaling layer"
        )
    pixels = round_pixels(images)
    drawn = np.random.default_rng(chosen.calibration_seed).permutation(len(pixels))
    compared = drawn[: chosen.parity_images]
    return export_model(
        model,
        graph,
        output,
        chosen,
        ModelInfo(model.name, f"Tells {len(classes)} classes apart.", "1", tuple(classes)),
        calibration_pixels=pixels[drawn[: chosen.calibration_images]],
        image_sets=[
            ImageSet("images", "source", pixels[compared], labels[compared].astype(np.int32)),
        ],
        stages=Stages(),
    )
