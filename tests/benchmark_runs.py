"""Runs for the tables of the benchmark, made up: as records, and as folders."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qtdog_tf.benchmark_tables import BenchmarkRun
from qtdog_tf.benchmark_tables.data_sets import identify
from qtdog_tf.records import Evaluation, Score
from qtdog_tf.runs import ResultsLog
from qtdog_tf.training.summary import summarize
from qtdog_tf.training.variants import parse_variant

DOMAINS = ("a", "b", "c")
CLASSES = ("cat", "dog")
DATA = identify(DOMAINS, CLASSES, "photos")


def evaluation(
    step: int,
    source: float,
    target: Mapping[str, tuple[float, float]],
    weights: str = "raw",
    domains: Sequence[str] = DOMAINS,
) -> Evaluation:
    """One evaluation: source validation, and (in, out) of every target."""

    def parts(**accuracies: float) -> dict[str, Score]:
        images = {"in": 80, "out": 20}
        return {name: Score(value, 1.0, images[name]) for name, value in accuracies.items()}

    return Evaluation(
        step,
        weights,
        False,
        {name: parts(out=source) for name in domains if name not in target},
        {name: parts(**{"in": in_, "out": out}) for name, (in_, out) in target.items()},
    )


def run(
    target: str,
    trial: int,
    evaluations: Sequence[Evaluation],
    draw: int = 0,
    *,
    from_step: int = 0,
    method: str = "ERM",
    **values: Any,
) -> BenchmarkRun:
    """A record of a run that held out the targets, joined by "+"."""
    defaults = {
        "path": Path(f"runs/g-hparams{draw}-trial{trial}/{target}-trial{trial}/{method}"),
        "group": Path("runs/g"),
        "data": DATA,
        "backbone": "tiny",
        "members": 0,
    }
    return BenchmarkRun(
        draw=draw,
        method=method,
        targets=tuple(target.split("+")),
        trial=trial,
        rows=summarize(evaluations, from_step)["rows"],
        from_step=from_step,
        evaluations=tuple(evaluations),
        **{**defaults, **values},
    )


def write_run(
    output: Path,
    target: str,
    trial: int,
    evaluations: Sequence[Evaluation],
    *,
    variant: str = "erm",
    domains: Sequence[str] = DOMAINS,
    classes: Sequence[str] = CLASSES,
    log: bool = True,
    **more: Any,
) -> Path:
    """The folder of a finished run, without models, in the folder of all runs."""
    targets = target.split("+")
    folder = output / f"{target}-trial{trial}" / variant
    folder.mkdir(parents=True)
    if log:
        ResultsLog(folder / "results.jsonl").append(evaluations)
    parsed = parse_variant(variant)
    summary = {
        "variant": {"name": variant, "mode": parsed.mode, "bits": parsed.bits},
        "backbone": "tiny",
        "data": "/data/photos",
        "classes": list(classes),
        "sources": [name for name in domains if name not in targets],
        "targets": targets,
        "trial_seed": trial,
        "images": {name: {"in": 80, "out": 20} for name in domains},
        "listing": "0123",
        "selected_from": 0,
        **summarize(evaluations),
        **more,
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def write_ensemble(output: Path, target: str, trial: int, accuracy: float, members: int) -> Path:
    """The folder of an ensemble, as its summary is."""
    folder = output / f"{target}-ensemble{trial}" / "qtdog7"
    folder.mkdir(parents=True)
    row = {"target_in": accuracy, "target_out": accuracy, "target_all": accuracy + 0.01}
    summary = {
        "variant": {"name": "eoq7", "mode": "train", "bits": 7},
        "backbone": "tiny",
        "data": "/data/photos",
        "classes": list(CLASSES),
        "sources": [name for name in DOMAINS if name != target],
        "targets": [target],
        "trial_seed": trial * members,
        "members": [{"trial_seed": trial * members + m} for m in range(members)],
        "rows": {"sma/source_validation": row},
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder
