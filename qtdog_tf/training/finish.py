"""The end of a run: its models as `.keras` files, and its summary, written last."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras

from qtdog_tf.algorithms import without_mixstyle
from qtdog_tf.averaging.base import WeightAverage
from qtdog_tf.files import replacing, write_json, write_text
from qtdog_tf.quantization import (
    format_report,
    model_size,
    quantization_report,
    quantize_wrappers,
)
from qtdog_tf.records import RAW, Evaluation
from qtdog_tf.training.batch_statistics import BatchStatistics
from qtdog_tf.training.selection import KeepSelected
from qtdog_tf.training.summary import summarize
from qtdog_tf.training.variants import Variant

SUMMARY = "summary.json"


def model_file(choice: str, weights: str) -> str:
    """Name of the file of a model.

    Args:
        choice: "selected" or "last".
        weights: "raw", "sma", "swa" or "swad".
    """
    return f"{choice}.keras" if weights == RAW else f"{choice}_{weights}.keras"


def save_models(
    model: keras.Model,
    keepers: Sequence[KeepSelected],
    averages: Sequence[WeightAverage],
    folder: Path,
    statistics: BatchStatistics,
) -> None:
    """Saves the last and the selected weights, as trained and averaged; leaves the last in place.

    INQ's weights are saved as the levels that the model computes with. If a float step before K was
    selected, as the released code may, a float model is saved.

    Args:
        model: at the end of training.
        keepers: one for each kind of weights.
        averages: of the weights.
        folder: where.
        statistics: measures BatchNorm's statistics anew for averages, where they learn.
    """
    save_model(model, folder / model_file("last", RAW))
    for average in averages:
        with average.applied(), statistics.measured(model):
            _put_on_levels(model)
            save_model(model, folder / model_file("last", average.name))
    last = model.get_weights()
    for keeper in keepers:
        assert keeper.evaluation is not None
        model.set_weights(keeper.values)
        with contextlib.nullcontext() if keeper.evaluation.quantized else _not_quantized(model):
            _put_on_levels(model)
            save_model(model, folder / model_file("selected", keeper.weights))
    model.set_weights(last)


@contextlib.contextmanager
def _not_quantized(model: keras.Model) -> Iterator[None]:
    """Within this context no layer quantizes: the step sizes of a float step mean nothing yet."""
    modes = [(wrapper, wrapper.mode) for wrapper in quantize_wrappers(model) if wrapper.holds_codes]
    for wrapper, _ in modes:
        wrapper.set_mode("off")
    try:
        yield
    finally:
        for wrapper, mode in modes:
            wrapper.set_mode(mode)


def _put_on_levels(model: keras.Model) -> None:
    """Weights with codes and no lattice become the values that they stand for.

    A lattice's latent weights stay: training of a saved QT-DoG model may go on.
    """
    for wrapper in quantize_wrappers(model):
        if wrapper.holds_codes and not wrapper.quantizes:
            for weight, quantizer, variables in wrapper.quantized_weights:
                weight.assign(quantizer(weight, False, variables))


def save_model(model: keras.Model, path: Path) -> None:
    """Saves a model for inference as a `.keras` file, in one go, without its optimizer."""
    with replacing(path) as temporary:
        without_mixstyle(model).save(temporary)


def write_summary(
    model: keras.Model,
    variant: Variant,
    identity: dict[str, Any],
    evaluations: Sequence[Evaluation],
    folder: Path,
    from_step: int,
    marks: dict[str, Any],
) -> None:
    """Writes `run.json`, `layers.txt` and, as the last thing, `summary.json`.

    `run.json` says what a later program needs to use the models, `layers.txt` what became of every
    layer of the last one, and `summary.json` that the run is finished.

    Args:
        model: at the end of training; its size is recorded.
        variant: of the run.
        identity: backbone, classes, domains and the like, as plain values.
        evaluations: of the whole run.
        folder: where.
        from_step: the first step that counts, see `selection.candidates`.
        marks: what happened on the way and should be known, by name; in the summary.
    """
    identity = {"variant": dataclasses.asdict(variant), **identity}
    write_json(folder / "run.json", identity)
    write_text(folder / "layers.txt", format_report(quantization_report(model)) + "\n")
    size = model_size(model)
    summary = summarize(evaluations, from_step)
    sizes = {"bytes": size.packed_bytes, "float_bytes": size.float_bytes}
    started = {"selected_from": from_step}
    write_json(folder / SUMMARY, {**identity, **sizes, **started, **summary, **marks})
