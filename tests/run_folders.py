"""Writes run folders without training."""

import json
from pathlib import Path
from typing import Any

IDENTITY: dict[str, Any] = {
    "variant": {"name": "qtdog7", "mode": "train", "bits": 7},
    "backbone": "tiny",
    "image_size": 16,
    "classes": ["cat", "dog"],
    "sources": ["day"],
    "targets": ["night"],
    "trial_seed": 0,
    "data": "photos",
    "holdout": 0.2,
    "split_by": "",
    "listing": "0123",
    "split": "4567",
}


def make_run(path: Path, identity: Any = IDENTITY, finished: bool = True) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "results.jsonl").write_text("")
    (path / "run.json").write_text(json.dumps(identity))
    if finished:
        (path / "summary.json").write_text("{}")
    return path
