"""Makes the .tflite file of a planned graph: calibrate, quantize, convert. No check yet.

Start with `plan_graph`, which says whether there is a file of that kind at all, then `build_file`.
"""

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

from qtdog_tf.errors import UserError
from qtdog_tf.export.calibration import Calibration, calibrate
from qtdog_tf.export.convert import HALF, INTEGER, PLAIN, Conversion, convert
from qtdog_tf.export.graph import ops
from qtdog_tf.export.graph.deploy import save_for_conversion
from qtdog_tf.export.graph.fold import fold
from qtdog_tf.export.graph.kernels import INT8_BITS
from qtdog_tf.export.graph.lower import float_layers, lower, name_some, with_probabilities
from qtdog_tf.export.graph.quantize import (
    INT4_BITS,
    DeadChannel,
    check_int4,
    quantize_graph,
    round_weights,
)
from qtdog_tf.export.graph.wide_attention import widen_attention
from qtdog_tf.export.progress import Stages
from qtdog_tf.export.settings import DYNAMIC, FLOAT16, INT4, ExportSettings
from qtdog_tf.export.tflite.dynamic import store_codes
from qtdog_tf.quantization import quantize_wrappers

CALIBRATION_BATCH = 32


@dataclasses.dataclass(frozen=True, eq=False)
class Built:
    """How a file came about.

    Attributes:
        graph: what was converted: dead channels silenced, float weights rounded where need be.
        dead: channels that give a constant in the file.
        rounded: layers whose weights were float and are 8-bit codes in the file.
        calibration: what calibration saw; None for kinds without.
        conversion: time and memory of the converter.
    """

    graph: ops.Graph
    dead: list[DeadChannel]
    rounded: list[str]
    calibration: Calibration | None
    conversion: Conversion


def plan_graph(model: keras.Model, settings: ExportSettings) -> ops.Graph:
    """The folded graph of a model, if it can be exported as the settings say.

    Args:
        model: functional or sequential, from raw pixels to logits.
        settings: of the export.

    Raises:
        UserError: if it cannot, naming the layer and what can be done instead.
    """
    settings.check()
    if settings.is_integer or settings.kind == DYNAMIC:
        _refuse_powers_of_two(model, settings.kind)
    # A file that takes floats has no pixel codes that could carry the normalization; and a factor
    # before the first convolution the converter multiplies into its weights.
    absorb = settings.is_integer and settings.input_type != "float32"
    graph = fold(with_probabilities(lower(model)), absorb_normalization=absorb)
    if settings.is_integer:
        obstacles = float_layers(graph)
        if obstacles:
            raise UserError(
                f"this network has no {settings.kind} file, since layer {name_some(obstacles)}; "
                "--kind=dynamic and --kind=float32 export it"
            )
        if not any(conv.kernel.learned for conv in graph.convs):
            raise UserError(
                f"no layer of this model is quantized, and --kind={settings.kind} ships learned "
                "codes: train a quantized variant (qtdog7), or export --kind=float32 or dynamic"
            )
    if settings.kind == INT4:
        check_int4(graph)
    if settings.kind == DYNAMIC:
        _refuse_hidden_codes(graph)
    return graph


def _refuse_powers_of_two(model: keras.Model, kind: str) -> None:
    """INQ's levels lie ever farther apart, those of integers evenly: 8 bits hold few of both."""
    for wrapper in quantize_wrappers(model):
        if wrapper.holds_codes and not wrapper.quantizes:
            raise UserError(
                f"the weights of layer {wrapper.layer.name} are powers of two (INQ), which "
                f"--kind={kind} would round to evenly spaced codes: export --kind=float32, which "
                "keeps them, or train qtdog7 for learned codes"
            )


def _refuse_hidden_codes(graph: ops.Graph) -> None:
    """A layer that runs as it is holds its weights as floats, and no check compares these."""
    for op in graph.ops:
        if not isinstance(op, ops.KerasCall):
            continue
        # An operation such as `x + y`, or a function, has no layers.
        layers = op.operation._flatten_layers() if isinstance(op.operation, keras.Layer) else ()
        if any(getattr(layer, "quantizes", False) for layer in layers):
            raise UserError(
                f"layer {op.layer} has learned codes, which a {DYNAMIC} file would hold as floats, "
                f"since {op.why}: export --kind=float32"
            )


def build_file(
    graph: ops.Graph,
    output: Path,
    log: Path,
    settings: ExportSettings,
    pixels: np.ndarray,
    stages: Stages,
) -> Built:
    """Writes the file of a graph.

    Args:
        graph: what `plan_graph` returned for the same settings.
        output: the file.
        log: what the converter says goes there.
        settings: of the export.
        pixels: calibration images, uint8 [n, S, S, 3]; not looked at for float activations.
        stages: shows how far the work is.

    Raises:
        UserError: if the conversion fails.
    """
    weight_bits = INT4_BITS if settings.kind == INT4 else INT8_BITS
    calibration: Calibration | None = None
    dead: list[DeadChannel] = []
    converted = graph
    if settings.is_integer:
        calibration = _calibrate(graph, settings, pixels, stages)
        converted, dead = quantize_graph(graph, calibration, weight_bits=weight_bits)
    elif settings.kind == DYNAMIC:
        converted = round_weights(graph)
    numbers = HALF if settings.kind == FLOAT16 else INTEGER if settings.is_integer else PLAIN
    with (
        tempfile.TemporaryDirectory(prefix=".saved-model-", dir=output.parent) as folder,
        stages.stage("Converting"),
    ):
        save_for_conversion(
            converted,
            Path(folder),
            ranges=dict(calibration.ranges) if calibration else None,
            weight_bits=weight_bits,
        )
        conversion = convert(
            Path(folder), output, log, numbers=numbers, input_type=settings.input_type
        )
    if settings.kind == DYNAMIC:
        store_codes(output, converted)
    if settings.is_integer:
        widen_attention(output)
    stored_as_codes = settings.is_integer or settings.kind == DYNAMIC
    rounded = [c.name for c in graph.convs if c.kernel.codes is None] if stored_as_codes else []
    return Built(converted, dead, rounded, calibration, conversion)


def _calibrate(
    graph: ops.Graph, settings: ExportSettings, pixels: np.ndarray, stages: Stages
) -> Calibration:
    with stages.stage("Calibrating", len(pixels)) as advance:

        def batches() -> Iterator[np.ndarray]:
            for start in range(0, len(pixels), CALIBRATION_BATCH):
                batch = pixels[start : start + CALIBRATION_BATCH]
                yield batch
                advance(len(batch))

        return calibrate(graph, batches(), observer=settings.observer, percent=settings.percentile)
