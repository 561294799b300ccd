"""The folder of a run: what it is, what was measured, where the models are.

    <output>/settings.json                       settings, versions, git commit
    <output>/<targets>-trial<k>/data.json        domains, classes, split of this trial
    <output>/.<targets>-trial<k>.lock            held by the process that trains it
    <output>/<targets>-trial<k>/times.json       wall times, apart from what repeats
    <output>/<targets>-trial<k>/float/           the float phase that the variants share
    <output>/<targets>-trial<k>/<variant>/       one run:
        run.json         what it is, and what a later program needs to use its models
        results.jsonl    one line an evaluation, see `Evaluation`
        scalars.jsonl    norm of the weights, codes in use, noise, calibration; see `Scalars`
        loss.csv         loss and accuracy on the training batches
        checkpoints/     full states, while the run is unfinished, see `training/checkpoints.py`
        skipped.json     training images that could not be read and were skipped, if any
        selected.keras, selected_sma.keras, last.keras, last_sma.keras
        layers.txt       what became of every layer: bits, codes in use, bytes, why left float
        tensorboard/     the evaluations as scalars
        summary.json     written last: the run is finished
    <output>/<targets>-trial<k>/ptq_<method><bits>/    a float run quantized after training:
        ptq.json         of what files, how; versions, git commit
        run.json, layers.txt, selected.keras, ..., summary.json      as of a run
    <output>/<targets>-ensemble<t>/<variant>/    members of trial t averaged, laid out like a run:
        ensemble.json    which members, of what files; versions, git commit
        run.json         as of a run, and of each member
        selected_sma.keras                       or the other one of the models that was asked for
        summary.json     written last: its accuracy, and that of each member
    a folder of tools.average                    the same; its model has the mean of the weights

Every file is either whole or not there.
"""

import json
import platform
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from qtdog_tf.errors import UserError, one_line
from qtdog_tf.files import is_unfinished, read_json, write_json, write_text
from qtdog_tf.records import Evaluation
from qtdog_tf.settings import Settings, difference

TIMES = "times.json"
FLOAT_PHASE = "float"
_SETTINGS = "settings.json"
_PACKAGES = ("qtdog-tf", "tensorflow", "keras", "tensorflow-model-optimization", "numpy")


def versions() -> dict[str, str]:
    """Versions of what a result may depend on, and the git commit if there is one."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    found["git"] = _git_commit()
    return found


def _git_commit() -> str:
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def claim_runs(output: Path, *settings: Settings) -> None:
    """Marks a folder as that of all runs of some settings, or checks that it is already.

    Args:
        output: the folder.
        *settings: everything that decides the outcome of its runs.

    Raises:
        UserError: if the folder belongs to something else, naming the differences.
    """
    claim_folder(output, _SETTINGS, *_identity_and_defaults(settings), versions=versions())


def refuse_other_runs(output: Path, *settings: Settings) -> None:
    """Refuses a folder that `claim_runs` would refuse; writes nothing.

    Raises:
        UserError: if the folder belongs to something else, naming the differences.
    """
    is_claimed(output, _SETTINGS, *_identity_and_defaults(settings))


def _identity_and_defaults(settings: Iterable[Settings]) -> tuple[dict[str, Any], dict[str, Any]]:
    identity: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    for one in settings:
        identity |= vars(one)
        defaults |= vars(type(one)())
    return identity, defaults


def claim_folder(
    path: Path,
    name: str,
    identity: dict[str, Any],
    defaults: dict[str, Any] | None = None,
    **extra: Any,
) -> None:
    """Marks a folder as belonging to `identity`, or checks that it does already.

    Args:
        path: the folder; made if it is not there.
        name: the file that holds the mark, "settings.json" for example.
        identity: plain values that must be the same when work goes on.
        defaults: values that an older version, which did not know their names, stood for.
        **extra: plain values that are recorded and may differ.

    Raises:
        UserError: if the folder belongs to something else, naming the differences.
    """
    if not is_claimed(path, name, identity, defaults):
        write_json(path / name, {"identity": _plain(identity), **extra})


def is_claimed(
    path: Path, name: str, identity: dict[str, Any], defaults: dict[str, Any] | None = None
) -> bool:
    """Whether a folder belongs to `identity` already; if not, it may be claimed.

    Args:
        path: the folder.
        name: the file that holds the mark.
        identity: as `claim_folder` takes it.
        defaults: as `claim_folder` takes them.

    Raises:
        UserError: if the folder belongs to something else, naming the differences.
    """
    mark = path / name
    plain = _plain(identity)
    if mark.exists():
        stored = _plain(defaults or {}) | read_json(mark).get("identity", {})
        differing = difference(plain, stored)
        if differing:
            shown = "; ".join(differing[:4]) + ("; ..." if len(differing) > 4 else "")
            raise UserError(
                f"{path} belongs to a run of other settings (asked / there: {shown}): choose "
                "another output folder, or the same settings to go on"
            )
        return True
    if path.exists() and not path.is_dir():
        raise UserError(f"output {path} is a file, a folder is needed: choose another")
    if path.exists() and not all(is_unfinished(entry) for entry in path.iterdir()):
        raise UserError(
            f"{path} holds other files and no {name}: choose a new or an empty output folder"
        )
    return False


def _plain(identity: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(identity))


class ResultsLog:
    """The evaluations of a run, one JSON object a line.

    Args:
        path: the `results.jsonl`.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def append(self, evaluations: Iterable[Evaluation]) -> None:
        """Adds the evaluations of a step."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write("".join(_line(evaluation) for evaluation in evaluations))

    def read(self) -> list[Evaluation]:
        """Every evaluation, in the order of the file.

        Raises:
            UserError: if a line is damaged.
        """
        if not self.path.exists():
            return []
        evaluations = []
        for number, line in enumerate(self.path.read_bytes().splitlines(), 1):
            try:
                evaluations.append(Evaluation.from_dict(json.loads(line)))
            except (LookupError, ValueError, TypeError, AttributeError, RecursionError) as error:
                raise UserError(
                    f"{self.path}, line {number} is damaged: {one_line(error)}"
                ) from error
        return evaluations

    def rewrite(self, evaluations: list[Evaluation]) -> None:
        """Replaces the whole log, in one go."""
        write_text(self.path, "".join(_line(evaluation) for evaluation in evaluations))


def _line(evaluation: Evaluation) -> str:
    return json.dumps(evaluation.to_dict(), sort_keys=True) + "\n"
