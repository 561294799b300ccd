"""Folders of runs with a model that nobody has trained, for what is made of several runs."""

import json
from pathlib import Path
from typing import Any

from qtdog_tf.data import open_domains, split_domains, split_fingerprint
from qtdog_tf.evaluation import Run, open_run
from qtdog_tf.models import build_classifier
from tests.small_data import CLASSES, DOMAINS

SIZE = 16


def make_run(
    path: Path,
    data: Path,
    trial_seed: int = 0,
    target: str = "line",
    freeze_batch_norm: bool = True,
    **values: Any,
) -> Run:
    """The folder of a run, untrained; `values` replace what its run.json would say."""
    domain_set = open_domains(str(data))
    identity = {
        "variant": {"name": "qtdog7", "mode": "train", "bits": 7},
        "backbone": "tiny",
        "image_size": SIZE,
        "classes": list(CLASSES),
        "sources": [name for name in DOMAINS if name != target],
        "targets": [target],
        "trial_seed": trial_seed,
        "data": str(data),
        "holdout": 0.2,
        "split_by": "",
        "listing": domain_set.fingerprint(),
        "split": split_fingerprint(split_domains(domain_set, trial_seed)),
        **values,
    }
    path.mkdir(parents=True)
    (path / "run.json").write_text(json.dumps(identity))
    (path / "summary.json").write_text("{}")
    model = build_classifier(
        "tiny",
        len(identity["classes"]),
        image_size=identity["image_size"],
        weights=None,
        freeze_batch_norm=freeze_batch_norm,
        seed=trial_seed,
    )
    model.save(path / "selected_sma.keras")
    return open_run(path)
