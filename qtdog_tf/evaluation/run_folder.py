"""Opens the folder of a finished run, or of an ensemble: what it was trained on, and its models.

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
from qtdog_tf.evaluation.member_splits import common_split
from qtdog_tf.evaluation.run_values import MEMBERS, RUN_VALUES, check_values, read_values
from qtdog_tf.evaluation.saved_model import load_saved_model
from qtdog_tf.runs import FLOAT_PHASE

# The models of a run, headline first; each is the file <name>.keras.
MODELS = (
    "selected_sma",
    "selected",
    "last_sma",
    "last",
    "selected_swa",
    "last_swa",
    "selected_swad",
    "last_swad",
)

_RUN, _SUMMARY = "run.json", "summary.json"


@dataclass(frozen=True)
class Run:
    """A finished run, or an ensemble of several.

    Attributes:
        path: its folder.
        variant: what happened from step K on, "qtdog7" for example.
        bits: bit width of the quantized weights; 32 if nothing is quantized. Of an ensemble: that
            of the member with the most.
        data: what it was trained on, as `open_domains` takes it. Of an ensemble this, `holdout`,
            `split_by`, `trial_seed` and `split` are those of the first member.
        holdout: fraction of each domain that was set aside.
        split_by: what kept images together, see `split_domains`; empty if nothing.
        backbone: name of the network; of the networks, joined by "+", of an ensemble.
        image_size: height and width that the models take, pixels.
        classes: class names, in the order of the logits.
        sources: domains trained on; by any member of an ensemble.
        targets: domains held out; by every member of an ensemble.
        trial_seed: the trial, which chose the split.
        listing: `DomainSet.fingerprint` of the data trained on; empty if members of an ensemble
            differ in it.
        split: `split_fingerprint` of its split.
        members: the runs that an ensemble is made of, as they were when it was; their folders may
            be gone. Empty for a single run.
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
    members: tuple["Run", ...] = ()

    def owns(self, domain_set: DomainSet) -> bool:
        """Whether these are the very images, by name, that the run was trained on."""
        return domain_set.fingerprint() == self.listing

    def splits(self, domain_set: DomainSet) -> dict[str, Split]:
        """The split of the data that the run was trained with; of an ensemble see `common_split`.

        Args:
            domain_set: data that the run `owns`.

        Raises:
            UserError: if run.json does not give the run's split.
        """
        if not self.members:
            return self._own_splits(domain_set, self.path / _RUN)
        every = [member._own_splits(domain_set, self.path / _RUN) for member in self.members]
        return {
            name: common_split(
                [splits[name] for splits in every],
                [name in member.sources for member in self.members],
            )
            for name in domain_set.names
        }

    def _own_splits(self, domain_set: DomainSet, record: Path) -> dict[str, Split]:
        splits = split_domains(domain_set, self.trial_seed, self.holdout, self.split_by or None)
        if split_fingerprint(splits) != self.split:
            raise UserError(
                f"{record} does not give the split that the run was trained with, so it was "
                "changed: evaluate all images with --part=all"
            )
        return splits

    def model_path(self, name: str) -> Path:
        """The file of one of the run's models.

        Args:
            name: one of `MODELS`.

        Raises:
            UserError: if there is no such model, naming those that there are.
        """
        path = self.path / f"{name}.keras"
        if not path.is_file():
            there = [model for model in MODELS if (self.path / f"{model}.keras").is_file()]
            raise UserError(
                f"there is no model {path}; run {self.path} has {', '.join(there) or 'none'}"
            )
        return path

    def load_model(self, name: str) -> keras.Model:
        """Loads one of the run's models, for inference.

        Args:
            name: one of `MODELS`.

        Returns:
            A model from pixels [n, image_size, image_size, 3] to logits [n, classes].

        Raises:
            UserError: if there is no such model, its file is damaged, or it does not fit the run.
        """
        path = self.model_path(name)
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
        path: <output>/<targets>-trial<k>/<variant>, as tools/train.py writes it, or what
            tools/ensemble.py wrote.

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
    values = read_values(path / _RUN)
    check_values(path / _RUN, values)
    return run_from_values(path, values)


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


def find_runs(paths: Sequence[str | Path]) -> list[Path]:
    """The folders of finished runs that names stand for.

    Args:
        paths: each the folder of a run or an ensemble, of a trial, or of all runs as tools/train.py
            makes them.

    Returns:
        Folders that `open_run` opens or refuses, each once, as they were named.

    Raises:
        UserError: if a folder does not exist or holds no finished run.
    """
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        path = path.expanduser()
        inside = runs_inside(path, _SUMMARY)
        if (path / _SUMMARY).is_file() or not inside:
            open_run(path)
            inside = [path]
        found.update({folder.resolve(): folder for folder in inside})
    return list(found.values())


def runs_inside(path: Path, file: str) -> list[Path]:
    """The folders of runs in that of a trial, or of all runs, that hold a file, sorted.

    Args:
        path: the folder.
        file: its name: "summary.json" of finished runs, "results.jsonl" of runs with a log.
    """
    kinds = ("*", "*-trial*/*", "*-ensemble*/*")
    return sorted(p.parent for kind in kinds for p in path.glob(f"{kind}/{file}"))


def run_from_values(path: Path, values: dict[str, Any]) -> Run:
    """The run of that folder, or a member of an ensemble, from its checked run.json."""
    members = tuple(run_from_values(Path(m["run"]), m) for m in values.get(MEMBERS, []))
    fields = {name: values[name] for name in RUN_VALUES if name != "variant"}
    fields = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
    variant = values["variant"]
    return Run(path=path, variant=variant["name"], bits=variant["bits"], members=members, **fields)


def _why_no_run(path: Path) -> str:
    finished = sorted(p.parent for p in path.glob("*/run.json"))
    finished = finished or sorted(p.parent for p in path.glob("*/*/run.json"))
    if finished:
        names = ", ".join(str(p) for p in finished[:4]) + (", ..." if len(finished) > 4 else "")
        return f"{path} is not the folder of one run but holds runs; name one of them: {names}"
    if path.name == FLOAT_PHASE and (path / "results.jsonl").exists():
        return f"{path} is the part that the runs beside it share; name one of those"
    if (path / "results.jsonl").exists() or (path / _RUN).exists():
        return f"run {path} is not finished; the command that began it goes on with it"
    return f"{path} is not the folder of a run: it holds no {_RUN}, which tools.train writes"
