"""Opens a finished run or ensemble as the teacher of a student. Start from `open_teacher`."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from qtdog_tf.data.domains import DomainSet
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation.run_folder import Run, open_run
from qtdog_tf.evaluation.run_values import MEMBERS, read_values
from qtdog_tf.training.roles import Roles
from qtdog_tf.training.teacher import Teacher


def open_teacher(
    folder: str | Path, model: str, domain_set: DomainSet, roles: Roles, image_size: int
) -> Teacher:
    """The teacher of a student that is trained on `domain_set`.

    Args:
        folder: of a run or an ensemble; "{targets}" in it stands for the student's targets.
        model: which of its models, see `MODELS`.
        domain_set: what the student is trained on.
        roles: sources and targets of the student.
        image_size: of the student, pixels.

    Raises:
        UserError: if there is no such model; it knows other classes, takes images of another size,
            was trained on other data, or on a domain that the student holds out.
    """
    run = open_run(str(folder).replace("{targets}", roles.name))
    path = run.model_path(model)
    _check(run, domain_set, roles, image_size)
    splits = run.splits(domain_set)
    unseen = {
        name: splits[name].out
        if name in run.sources
        else np.arange(len(domain_set.domain(name)), dtype=np.int64)
        for name in roles.sources
    }
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    record = {
        "run": str(run.path),
        "variant": run.variant,
        "model": model,
        "file": digest,
        "members": max(len(run.members), 1),
    }
    return Teacher(lambda: run.load_model(model), unseen, record)


def _check(run: Run, domain_set: DomainSet, roles: Roles, image_size: int) -> None:
    """Refuses a teacher that does not fit, or that knows what the student must not."""
    if run.classes != domain_set.classes:
        raise UserError(
            f"teacher {run.path} knows the classes {', '.join(run.classes)}, but the student is to "
            f"learn {', '.join(domain_set.classes)}: they must be the same in the same order"
        )
    if run.image_size != image_size:
        raise UserError(
            f"teacher {run.path} takes images of {run.image_size} pixels: give the student "
            f"--image_size={run.image_size} instead of {image_size}"
        )
    seen = [name for name in roles.targets if name in run.sources]
    if seen:
        raise UserError(
            f"teacher {run.path} was trained on domain {seen[0]!r}, which the student holds out: "
            "name one that held it out too"
        )
    if not run.owns(domain_set):
        raise UserError(
            f"teacher {run.path} was trained on {run.data} as it was then, not on these images, so "
            "it is unknown which of them it has seen: train both on the same data"
        )
    if _was_taught(read_values(run.path / "run.json")):
        raise UserError(
            f"teacher {run.path} learned from a teacher itself, and what that one has seen is not "
            "known here: name the first teacher"
        )


def _was_taught(values: dict[str, Any]) -> bool:
    return any("teacher" in one for one in (values, *values.get(MEMBERS, [])))
