"""Makes the folder of a run whose models were quantized after training (PTQ), from a float run.

The folder is laid out like that of a run, so evaluation, export and tables take it as one. Start
from `quantize_run`.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from qtdog_tf.data.domains import DomainSet
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation.method_names import row_of_model
from qtdog_tf.evaluation.model_rows import knows_validation, measure_row, parts_of_run
from qtdog_tf.evaluation.run_folder import MODELS, Run
from qtdog_tf.evaluation.run_values import read_values
from qtdog_tf.evaluation.saved_model import load_saved_model
from qtdog_tf.evaluation.summary_values import read_summary
from qtdog_tf.files import read_json, write_json, write_text
from qtdog_tf.locks import hold
from qtdog_tf.quantization import format_report, is_quantized, model_size, quantization_report
from qtdog_tf.quantization.post_training import Advance, quantize_after_training
from qtdog_tf.quantization.post_training_settings import OBC, PostTrainingSettings
from qtdog_tf.runs import claim_folder, is_claimed, versions
from qtdog_tf.training.evaluation import Part
from qtdog_tf.training.finish import SUMMARY, save_model
from qtdog_tf.training.selection import LAST
from qtdog_tf.training.variants import FLOAT_BITS, split_member

MARK = "ptq.json"
_FLOAT = "erm"
Values = dict[str, Any]


def variant_name(run: Run, settings: PostTrainingSettings) -> str:
    """The name of the new run: "ptq_rtn7" of "erm", "ptq_rtn7_m1" of "erm_m1".

    Of another float variant its name comes first, "frozen_float_ptq_rtn7".
    """
    base, member = split_member(run.variant)
    name = settings.name if base == _FLOAT else f"{base}_{settings.name}"
    return f"{name}_m{member}" if member else name


def models_of(run: Run, names: Sequence[str] = ()) -> list[str]:
    """The models of a run that are to be quantized.

    Args:
        run: a float run.
        names: of models; default all that there are.

    Raises:
        UserError: if the run is an ensemble or quantized already, or has no model of such a name.
    """
    if run.members:
        raise UserError(
            f"run {run.path} is an ensemble: quantize its members one by one, and average those by "
            "python -m tools.ensemble"
        )
    if run.bits != FLOAT_BITS:
        raise UserError(
            f"run {run.path} is quantized already ({run.variant}): name a float run, for example "
            "the variant erm beside it"
        )
    unknown = [name for name in names if name not in MODELS]
    if unknown or len(set(names)) < len(names):
        raise UserError(
            f"models must be different ones of {', '.join(MODELS)}; received {','.join(names)}"
        )
    found = [name for name in MODELS if name in names]
    for name in found:
        run.model_path(name)
    found = found or [name for name in MODELS if (run.path / f"{name}.keras").is_file()]
    if not found:
        run.model_path(MODELS[0])
    return found


def quantize_run(
    run: Run,
    output: Path,
    settings: PostTrainingSettings,
    models: Sequence[str],
    domain_set: DomainSet,
    pixels: np.ndarray | None = None,
    advance: Advance = lambda name, part, whole: None,
) -> Values:
    """Quantizes models of a float run, saves them, and evaluates them as training does.

    Args:
        run: the run.
        output: folder of the new run; nothing is done if it is there, finished, and the same. Work
            that was interrupted goes on with the next model.
        settings: of the quantization.
        models: what `models_of` returned.
        domain_set: the data that the run was trained on.
        pixels: calibration images for OBC, see `quantize_after_training`.
        advance: called as work goes on, see `quantize_after_training`.

    Returns:
        The new run's summary: rows as those of the float run, one for each model; "float_rows",
        those of the float models; and "source_run". Without "source_accuracy" if it is not known
        which images a student was selected on, see `knows_validation`.

    Raises:
        UserError: if the data is not what it was, a model cannot be read or is quantized, or
            `output` is something else or in use.
    """
    if not run.owns(domain_set):
        raise UserError(
            f"{run.data} has changed since run {run.path} was trained on it, so its parts are not "
            "known any more: restore it"
        )
    before = read_summary(run.path / SUMMARY)
    rows = {row_of_model(name): _float_row(run, before, name) for name in models}
    values = {
        **read_values(run.path / "run.json"),
        "variant": {"name": variant_name(run, settings), "mode": "train", "bits": settings.bits},
    }
    with hold(output):
        identity = _identity(run, settings, models)
        if is_claimed(output, MARK, identity) and (output / SUMMARY).exists():
            return read_json(output / SUMMARY)
        floats = {name: _load_float(run, name) for name in models}
        tested = any("source_test" in row for row in before["rows"].values())
        parts = parts_of_run(run, domain_set, tested)
        comparable = knows_validation(run, domain_set, values.get("teacher"))
        claim_folder(output, MARK, identity, versions=versions())
        write_json(output / "run.json", values)
        measured = {}
        evaluated: keras.Model | None = None
        for name, model in floats.items():
            path = output / f"{name}.keras"
            if not path.exists():
                save_model(quantize_after_training(model, settings, pixels, advance), path)
            # What is measured is the file; by one model, whose functions are traced once.
            quantized = load_saved_model(path)
            evaluated = evaluated or quantized
            evaluated.set_weights(quantized.get_weights())
            row = rows[row_of_model(name)]
            mine = _parts_measured(parts, row, before, name)
            found = measure_row(evaluated, mine, row["step"], domain_set)
            if not comparable:
                del found["source_accuracy"]
            measured[row_of_model(name)] = found
        size = model_size(quantized)
        write_text(output / "layers.txt", format_report(quantization_report(quantized)) + "\n")
        sizes = {"bytes": size.packed_bytes, "float_bytes": size.float_bytes}
        of_float = {"float_rows": rows, "source_run": str(run.path)}
        write_json(output / SUMMARY, {**values, **sizes, "rows": measured, **of_float})
    return read_json(output / SUMMARY)


def _parts_measured(parts: Sequence[Part], row: Values, before: Values, model: str) -> list[Part]:
    """What training measured at the step of a row: its own images at the last step only."""
    is_last = row["step"] == before["rows"][_last_row(model)]["step"]
    return [part for part in parts if is_last or not part.last_only]


def _float_row(run: Run, summary: Values, model: str) -> Values:
    for row in (row_of_model(model), _last_row(model)):
        if not isinstance(summary["rows"].get(row, {}).get("step"), int):
            raise UserError(
                f"{run.path / SUMMARY} is damaged (no row {row!r} with a step): restore it, or "
                "train the run again"
            )
    return summary["rows"][row_of_model(model)]


def _last_row(model: str) -> str:
    return f"{row_of_model(model).partition('/')[0]}/{LAST}"


def _identity(run: Run, settings: PostTrainingSettings, models: Sequence[str]) -> Values:
    identity: Values = {
        name: value
        for name, value in vars(settings).items()
        if settings.method == OBC or name in ("method", "bits", "narrow_range")
    }
    identity["variant"] = f"{run.variant} of trial {run.trial_seed}"
    for name in models:
        with run.model_path(name).open("rb") as file:
            identity[name] = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return identity


def _load_float(run: Run, name: str) -> keras.Model:
    model = run.load_model(name)
    if is_quantized(model):
        raise UserError(
            f"model {run.model_path(name)} is quantized, though its run.json says that it is "
            "float: one of them belongs to another run"
        )
    return model
