"""What an ensemble and each of its members get right on the domains that all held out.

The ensemble is reported on the whole target domain, as ensembles are in the literature, and on its
80 % part, as single models are (method, section 4). Start from `ensemble_summary`.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from qtdog_tf.data.domains import Domain, DomainSet
from qtdog_tf.data.path_list import PathList
from qtdog_tf.data.splits import Split
from qtdog_tf.ensemble import build_ensemble, members_of, with_members
from qtdog_tf.evaluation.images import ALL
from qtdog_tf.evaluation.inference import predict_logits
from qtdog_tf.evaluation.method_names import row_of_model
from qtdog_tf.evaluation.run_folder import run_from_values
from qtdog_tf.quantization import model_size
from qtdog_tf.records import IN, OUT
from qtdog_tf.training.evaluation import score

ENSEMBLE = "ensemble"
Values = dict[str, Any]


def ensemble_summary(
    ensemble: keras.Model,
    values: Values,
    data: DomainSet | None,
    members: Sequence[keras.Model] | None = None,
) -> Values:
    """The summary.json of an ensemble, or of an average of weights.

    Args:
        ensemble: what `build_ensemble` or `average_models` made.
        values: its run.json.
        data: what its members were trained on; None if there is no target to evaluate on.
        members: the models that were averaged. Default: those in the ensemble.

    Returns:
        `values`, sizes, and "figures": {"m0" or "ensemble": {"bytes", "domains": {target: {part:
        score}}}}, where part is "all", "in" or, if there are such images, "out", see
        `common_split`. "rows" has the ensemble's accuracies, means over targets, as the summary
        of a single run has them.

    Raises:
        UserError: if an image cannot be read.
    """
    alone = members_of(ensemble) if members is None else members
    models = {f"m{i}": member for i, member in enumerate(alone)}
    models[ENSEMBLE] = ensemble
    sizes = {name: model_size(model) for name, model in models.items()}
    figures: dict[str, Values] = {
        name: {"bytes": size.packed_bytes, "domains": {}} for name, size in sizes.items()
    }
    if data is not None:
        splits = run_from_values(Path(ENSEMBLE), values).splits(data)
        # One pass over the images for all of them.
        together = ensemble if members is None else build_ensemble([*members, ensemble])
        logits = _logits(together, data, values["targets"], values["image_size"])
        for target, of_target in logits.items():
            for number, name in enumerate(models):
                scores = _scores(of_target[:, number], data.domain(target), splits[target])
                figures[name]["domains"][target] = scores
    row = {}
    for part in (ALL, IN, OUT):
        mean = mean_accuracy(figures[ENSEMBLE], part)
        if mean is not None:
            row[f"target_{part}"] = mean
    return {
        **values,
        "bytes": sizes[ENSEMBLE].packed_bytes,
        "float_bytes": sizes[ENSEMBLE].float_bytes,
        "figures": figures,
        "rows": {row_of_model(values["model"]): row},
    }


def why_no_target(values: Values) -> str | None:
    """Why an ensemble cannot be evaluated on a held-out domain; None if it can."""
    if not values["listing"]:
        return "members were trained on different data, so there is no target that all held out"
    if not values["targets"]:
        return "there is no domain that every member held out"
    return None


def mean_accuracy(figures: Values, part: str) -> float | None:
    """Mean accuracy over target domains of one model of a summary; None if one has no figure."""
    scores = [parts.get(part) for parts in figures["domains"].values()]
    if not scores or None in scores:
        return None
    return float(np.mean([score["accuracy"] for score in scores]))


def _logits(
    ensemble: keras.Model, data: DomainSet, targets: Sequence[str], image_size: int
) -> dict[str, np.ndarray]:
    """By target, float32 [images, members + 1, classes], see `with_members`."""
    domains = [data.domain(target) for target in targets]
    paths = PathList.join([domain.paths for domain in domains])
    model = with_members(ensemble)
    logits = predict_logits(model, paths, image_size=image_size, label=ENSEMBLE)
    ends = np.cumsum([len(domain) for domain in domains])
    return dict(zip(targets, np.split(logits, ends[:-1]), strict=True))


def _scores(logits: np.ndarray, domain: Domain, split: Split) -> Values:
    parts = {ALL: np.arange(len(domain)), IN: split.in_, OUT: split.out}
    return {
        part: dataclasses.asdict(score(logits[chosen], domain.labels[chosen]))
        for part, chosen in parts.items()
        if len(chosen)
    }
