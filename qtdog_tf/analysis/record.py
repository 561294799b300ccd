"""The file of one analysis of one model, and whether it is there already.

    <output>/<label>/<model>/<analysis>.json     what was looked at, how, and what was found
    <output>/<label>/<model>/<analysis>.svg      the picture of it, if there is one

Start from `Record`.
"""

import abc
import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtdog_tf.analysis.catalog import Subject
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation.method_names import average_name, method_name
from qtdog_tf.evaluation.run_values import read_values
from qtdog_tf.files import read_json, write_json
from qtdog_tf.records import SWA, SWAD
from qtdog_tf.runs import versions
from qtdog_tf.settings import Settings, difference
from qtdog_tf.training.finish import SUMMARY

# A run is told from others by the last parts of its path: output, trial and variant.
_PARTS = 3
_RULES = {"selected": "selected step", "last": "last step"}


def run_label(path: Path) -> str:
    """Short name of a run's folder: "study/line-trial0/qtdog7"."""
    return "/".join(path.expanduser().resolve().parts[-_PARTS:])


class FiguresFile(abc.ABC):
    """A file of figures with a picture beside it."""

    @property
    @abc.abstractmethod
    def path(self) -> Path:
        """The file of figures."""

    @abc.abstractmethod
    def identity(self) -> dict[str, Any]:
        """What must be the same for figures to be these figures, as plain values."""

    @property
    def picture(self) -> Path:
        """The picture of them."""
        return self.path.with_suffix(".svg")

    def read(self) -> dict[str, Any] | None:
        """What is in the file; None if there is none yet.

        Raises:
            UserError: if the file is damaged, or holds the figures of something else.
        """
        return read_record(self.path, self.identity)


@dataclasses.dataclass(frozen=True)
class Record(FiguresFile):
    """Where the figures of one analysis belong.

    Attributes:
        output: folder of all analyses.
        analysis: its name.
        subject: what is looked at.
        settings: how.
    """

    output: Path
    analysis: str
    subject: Subject
    settings: Settings

    @property
    def folder(self) -> Path:
        """The folder of this run and model, in `output`."""
        return self.output / run_label(self.subject.run.path) / self.subject.model

    @property
    def path(self) -> Path:
        """The file of figures."""
        return self.folder / f"{self.analysis}.json"

    def describe(self, result: dict[str, Any], seconds: float, command: str) -> dict[str, Any]:
        """What was found, with what was looked at and how: what `write` takes and `read` returns.

        Args:
            result: of the analysis.
            seconds: that it took.
            command: that made it.
        """
        run = self.subject.run
        algorithm = read_values(run.path / SUMMARY).get("algorithm", "erm")
        return {
            "analysis": self.analysis,
            "label": run_label(run.path),
            "run": str(run.path),
            "method": _method(algorithm, run.variant, self.subject.model),
            "variant": run.variant,
            "algorithm": algorithm,
            "bits": run.bits,
            "targets": list(run.targets),
            "trial_seed": run.trial_seed,
            "model": self.subject.model,
            "settings": dict(vars(self.settings)),
            "identity": self.identity(),
            "command": command,
            "seconds": round(seconds, 1),
            "versions": versions(),
            "result": _rounded(result),
        }

    def write(self, values: dict[str, Any]) -> None:
        """Writes what `describe` returned, in one go."""
        # A number a line would make a histogram of fifty layers longer than a book.
        write_json(self.path, values, indent=None)

    def identity(self) -> dict[str, Any]:
        """What must be the same for figures to be these figures, as plain values."""
        images = {"images of a part": self.subject.limit, "their seed": self.subject.seed}
        settings = identity_of_settings(self.analysis, self.settings)
        return {"model file": model_digest(self.subject), **images, **settings}


def read_record(path: Path, identity: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """What a file of figures holds; None if there is none yet.

    Args:
        path: the file, a JSON object with "identity" and "result".
        identity: returns what is asked for; called if there is a file, since it reads models.

    Raises:
        UserError: if the file is damaged, or holds the figures of something else.
    """
    if not path.exists():
        return None
    values = read_json(path)
    stored = values.get("identity") if isinstance(values, dict) else None
    if not isinstance(stored, dict) or "result" not in values:
        raise UserError(
            f"{path} is damaged, or of an older version: remove it, and it is made anew"
        )
    differing = difference(identity(), stored)
    if differing:
        raise UserError(
            f"{path} holds figures of something else (asked / there: "
            f"{'; '.join(differing[:4])}): choose another output folder, or remove it"
        )
    return values


def model_digest(subject: Subject) -> str:
    """Tells the file of a model from any other."""
    with subject.run.model_path(subject.model).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def identity_of_settings(analysis: str, settings: Settings) -> dict[str, Any]:
    """Settings by names that say which analysis they are of, as they come back from JSON."""
    return {
        f"{analysis} {name}": list(value) if isinstance(value, tuple) else value
        for name, value in vars(settings).items()
    }


def _rounded(value: Any) -> Any:
    """With floats of six significant digits, which halves the files and is finer than any error."""
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _method(algorithm: str, variant: str, model: str) -> str:
    """What rows are named by: the method, the average, and the rule if it is not the usual one."""
    choice, _, weights = model.partition("_")
    method = method_name(algorithm, variant)
    if weights:
        method = average_name(method, weights)
    # SWA and SWAD average up to an end of their own.
    usual = "last" if weights in (SWA, SWAD) else "selected"
    return method if choice == usual else f"{method}, {_RULES[choice]}"
