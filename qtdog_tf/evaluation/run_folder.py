"""Opens the folder of a finished run: what it was trained on, and its models.

The folder is laid out as `qtdog_tf.runs` says. Start from `open_run`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from qtdog_tf.data import split_domains, split_fingerprint
from qtdog_tf.data.domains import DomainSet
from qtdog_tf.data.splits import Split
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation.saved_model import load_saved_model
from qtdog_tf.files import read_json

# The models of a run, headline first; each is the file <name>.keras.
MODELS = ("selected_sma", "selected", "last_sma", "last")

_RUN, _SUMMARY = "run.json", "summary.json"
_TYPES: dict[str, type | tuple[type, ...]] = {
    "variant": dict,
    "data": str,
    "holdout": (int, float),
    "split_by": str,
    "backbone": str,
    "image_size": int,
    "classes": list,
    "sources": list,
    "targets": list,
    "trial_seed": int,
    "listing": str,
    "split": str,
}


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        path: its folder.
        variant: what happened from step K on, "qtdog7" for example.
        bits: bit width of the quantized weights; 32 if nothing is quantized.
        data: what it was trained on, as `open_domains` takes it.
        holdout: fraction of each domain that was set aside.
        split_by: what kept images together, see `split_domains`; empty if nothing.
        backbone: name of the network.
        image_size: height and width that the models take, pixels.
        classes: class names, in the order of the logits.
        sources: domains trained on.
        targets: domains held out.
        trial_seed: the trial, which chose the split.
        listing: `DomainSet.fingerprint` of the data trained on.
        split: `split_fingerprint` of its split.
    """

    path: Path
    variant: str
    bits: int
    data: str
    holdout: float
    split_by: str
    backbone: str
    image_size: int
    classes: tuple[str, ...]
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    trial_seed: int
    listing: str
    split: str

    def owns(self, domain_set: DomainSet) -> bool:
        """Whether these are the very images, by name, that the run was trained on."""
        return domain_set.fingerprint() == self.listing

    def splits(self, domain_set: DomainSet) -> dict[str, Split]:
        """The split of the data that the run was trained with.

        Args:
            domain_set: data that the run `owns`.

        Raises:
            UserError: if run.json does not give the run's split.
        """
        splits = split_domains(domain_set, self.trial_seed, self.holdout, self.split_by or None)
        if split_fingerprint(splits) != self.split:
            raise UserError(
                f"{self.path / _RUN} does not give the split that the run was trained with, so it "
                "was changed: evaluate all images with --part=all"
            )
        return splits

    def load_model(self, name: str) -> keras.Model:
        """Loads one of the run's models, for inference.

        Args:
            name: one of `MODELS`.

        Returns:
            A model from pixels [n, image_size, image_size, 3] to logits [n, classes].

        Raises:
            UserError: if there is no such model, its file is damaged, or it does not fit the run.
        """
        path = self.path / f"{name}.keras"
        if not path.is_file():
            there = [model for model in MODELS if (self.path / f"{model}.keras").is_file()]
            raise UserError(
                f"there is no model {path}; run {self.path} has {', '.join(there) or 'none'}"
            )
        model = load_saved_model(path)
        expected = (None, self.image_size, self.image_size, 3), (None, len(self.classes))
        if (model.input_shape, model.output_shape) != expected:
            raise UserError(
                f"model {path} takes {model.input_shape} and gives {model.output_shape}, but its "
                f"{_RUN} says {expected[0]} and {expected[1]}: one of them belongs to another run"
            )
        return model


def open_run(path: str | Path) -> Run:
    """Opens the folder of a run.

    Args:
        path: <output>/<targets>-trial<k>/<variant>, as tools/train.py writes it.

    Returns:
        The run.

    Raises:
        UserError: if the folder does not exist, is none of a run, is unfinished or damaged.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise UserError(f"run folder {path} {what}")
    if not (path / _RUN).is_file() or not (path / _SUMMARY).is_file():
        raise UserError(_why_no_run(path))
    values = read_json(path / _RUN)
    _check_values(path / _RUN, values)
    return Run(
        path=path,
        variant=values["variant"]["name"],
        bits=values["variant"]["bits"],
        data=values["data"],
        holdout=values["holdout"],
        split_by=values["split_by"],
        backbone=values["backbone"],
        image_size=values["image_size"],
        classes=tuple(values["classes"]),
        sources=tuple(values["sources"]),
        targets=tuple(values["targets"]),
        trial_seed=values["trial_seed"],
        listing=values["listing"],
        split=values["split"],
    )


def open_runs(paths: Sequence[str]) -> dict[str, Run]:
    """Opens several runs and gives each a short name.

    Args:
        paths: folders of runs.

    Returns:
        The runs, in the order given. A name is the end of the path, as short as tells the runs
        apart: "erm", or "line-trial0/erm" if there are two of that name.

    Raises:
        UserError: as `open_run`; if none is named, or one twice.
    """
    parts = [Path(path).expanduser().resolve().parts for path in paths]
    if not parts or len(set(parts)) < len(parts):
        raise UserError(f"name one or more different run folders; received {','.join(paths)!r}")
    depth = 1
    while len({part[-depth:] for part in parts}) < len(parts):
        depth += 1
    runs = [open_run(path) for path in paths]
    return {"/".join(part[-depth:]): run for part, run in zip(parts, runs, strict=True)}


def _why_no_run(path: Path) -> str:
    finished = sorted(p.parent for p in path.glob("*/run.json"))
    finished = finished or sorted(p.parent for p in path.glob("*/*/run.json"))
    if finished:
        names = ", ".join(str(p) for p in finished[:4]) + (", ..." if len(finished) > 4 else "")
        return f"{path} is not the folder of one run but holds runs; name one of them: {names}"
    if path.name == "float" and (path / "results.jsonl").exists():
        return f"{path} is the part that the runs beside it share; name one of those"
    if (path / "results.jsonl").exists() or (path / _RUN).exists():
        return f"run {path} is not finished; the command that began it goes on with it"
    return f"{path} is not the folder of a run: it holds no {_RUN}, which tools.train writes"


def _check_values(path: Path, values: Any) -> None:
    wrong = _what_is_wrong(values)
    if wrong is not None:
        raise UserError(f"{path} is damaged ({wrong}): restore it, or train the run again")


def _what_is_wrong(values: Any) -> str | None:
    if not isinstance(values, dict):
        return "it holds no table of names and values"
    for name, kind in _TYPES.items():
        value = values.get(name)
        # In Python, True is an integer.
        if not isinstance(value, kind) or isinstance(value, bool):
            return f"{name!r} is missing or of the wrong type"
        if isinstance(value, list) and not all(isinstance(item, str) for item in value):
            return f"{name!r} must be a list of names"
    variant = values["variant"]
    if not isinstance(variant.get("name"), str) or not isinstance(variant.get("bits"), int):
        return "'variant' must hold a name and bits"
    return None
