"""Makes the folder of an average of several runs from their folders. Start from `make_ensemble`.

Predictions are averaged (EoQ, EoA), or weights (DiWA) of runs that began with the same ones.

The folder is laid out like that of a run, so evaluation, pictures and export take it as one.
"""

import hashlib
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qtdog_tf.data import open_domains
from qtdog_tf.data.domains import DomainSet
from qtdog_tf.ensemble import LOGITS, WEIGHTS, build_ensemble
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation.averaged_weights import (
    DrawPixels,
    average_weights,
    check_initialization,
)
from qtdog_tf.evaluation.ensemble_figures import ensemble_summary, why_no_target
from qtdog_tf.evaluation.run_folder import MODELS, Run
from qtdog_tf.evaluation.run_values import MEMBERS, RUN_VALUES
from qtdog_tf.evaluation.saved_model import load_saved_model
from qtdog_tf.files import read_json, write_json
from qtdog_tf.records import SMA
from qtdog_tf.runs import claim_folder, is_claimed, versions
from qtdog_tf.training.finish import SUMMARY, save_model
from qtdog_tf.training.variants import split_member

_MARK = "ensemble.json"
_ERM = "erm"
# What newer runs say of themselves, beside `RUN_VALUES`.
_NOTED = ("algorithm", "initialization", "teacher")
Values = dict[str, Any]


def make_ensemble(
    runs: Sequence[Run],
    output: Path,
    *,
    model: str = MODELS[0],
    average: str = LOGITS,
    evaluate: bool = True,
    draw_pixels: DrawPixels | None = None,
) -> Values:
    """Averages a model of several runs, saves it, and evaluates it beside its members.

    Args:
        runs: the members, two or more, of the same classes and image size. Backbones, bits, splits
            and domains may differ. Runs whose weights are averaged must have one backbone, be
            quantized alike, and have begun with the same weights.
        output: folder of the ensemble; nothing is done if it is there, finished, and the same.
        model: which model of each run, see `MODELS`.
        average: "logits" (the paper), "probabilities" or "weights" (DiWA).
        evaluate: evaluate on the domains that every member held out, if all members were trained on
            the same listing of images; otherwise there is no such domain.
        draw_pixels: see `average_weights`.

    Returns:
        The ensemble's summary, see `ensemble_summary`.

    Raises:
        UserError: if members do not fit each other, one is an ensemble, a model cannot be read, the
            data is not there or not what it was, or `output` is something else. Nothing is written
            then.
    """
    _check_members(runs)
    if average == WEIGHTS:
        check_initialization(runs)
    hashes = [_file_hash(run.model_path(model)) for run in runs]
    identity = {"average": average, "model": model, "evaluate": evaluate}
    for number, (run, digest) in enumerate(zip(runs, hashes, strict=True)):
        identity[f"m{number}"] = f"{run.variant} of trial {run.trial_seed}, file {digest}"
    if is_claimed(output, _MARK, identity) and (output / SUMMARY).exists():
        return read_json(output / SUMMARY)
    values = _describe(runs, model, average)
    data = _data(values) if evaluate else None
    members = [run.load_model(model) for run in runs]
    ensemble = (
        average_weights(runs, members, draw_pixels)
        if average == WEIGHTS
        else build_ensemble(members, average)
    )
    claim_folder(output, _MARK, identity, versions=versions())
    write_json(output / "run.json", values)
    path = output / f"{model}.keras"
    save_model(ensemble, path)
    # What is measured is the file.
    apart = members if average == WEIGHTS else None
    summary = ensemble_summary(load_saved_model(path), values, data, apart)
    write_json(output / SUMMARY, summary)
    return summary


def _check_members(runs: Sequence[Run]) -> None:
    """Refuses runs that cannot be averaged, naming the first two that do not fit."""
    if len(runs) < 2:
        raise UserError(f"an ensemble needs two or more runs; received {len(runs)}")
    first = runs[0]
    for run in runs:
        if run.members:
            raise UserError(f"run {run.path} is an ensemble itself: name its members instead")
        pairs = itertools.zip_longest(first.classes, run.classes, fillvalue="none")
        for number, (mine, other) in enumerate(pairs):
            if mine != other:
                raise UserError(
                    "members must know the same classes in the same order, but class number "
                    f"{number} is {mine!r} for {first.path} and {other!r} for {run.path}"
                )
        if run.image_size != first.image_size:
            raise UserError(
                f"members must take images of one size: {first.path} takes {first.image_size} "
                f"pixels, {run.path} takes {run.image_size}"
            )


def _describe(runs: Sequence[Run], model: str, average: str) -> Values:
    """What run.json says of the ensemble: of the first member where they differ, see `Run`."""
    members = []
    for run in runs:
        values = read_json(run.path / "run.json")
        known = {name: values[name] for name in (*RUN_VALUES, *_NOTED) if name in values}
        members.append({"run": str(run.path), "model": model, **known})
    first = runs[0]
    same_data = all(run.listing == first.listing for run in runs)
    return {
        **{name: members[0][name] for name in RUN_VALUES},
        "variant": _variant([member["variant"] for member in members], model, average),
        "algorithm": "+".join(dict.fromkeys(m.get("algorithm", _ERM) for m in members)),
        "backbone": "+".join(dict.fromkeys(run.backbone for run in runs)),
        "sources": list(dict.fromkeys(name for run in runs for name in run.sources)),
        "targets": [n for n in first.targets if all(n in run.targets for run in runs)],
        "listing": first.listing if same_data else "",
        "model": model,
        "average": average,
        MEMBERS: members,
    }


def _variant(members: Sequence[Values], model: str, average: str) -> Values:
    """Names it as the literature does.

    EoQ: predictions of QT-DoG models. EoA: predictions of moving averages of float models. DiWA:
    weights of float models.
    """
    names = {split_member(member["name"])[0] for member in members}
    modes = {member["mode"] for member in members}
    bits = max(member["bits"] for member in members)
    common = names.pop() if len(names) == 1 else ""
    if average == WEIGHTS:
        name = "diwa" if common == _ERM else f"diwa_{common or 'mixed'}"
    elif common.startswith("qtdog"):
        name = f"eoq{bits}"
    elif common == _ERM and model.endswith(f"_{SMA}"):
        name = "eoa"
    else:
        name = f"{common}_ensemble" if common else "ensemble"
    return {"name": name, "mode": modes.pop() if len(modes) == 1 else "mixed", "bits": bits}


def _data(values: Values) -> DomainSet | None:
    """The data that every member was trained on, if there is such."""
    if why_no_target(values):
        return None
    data = open_domains(values["data"])
    if data.fingerprint() != values["listing"]:
        raise UserError(
            f"{values['data']} has changed since the members were trained on it, so which images "
            "they held out is unknown: restore it, or build the ensemble with --noevaluate"
        )
    return data


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
