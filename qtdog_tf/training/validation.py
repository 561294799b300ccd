"""On which images of the source domains a run is validated, and tested. See `plan_validation`."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from qtdog_tf.data import halve_held_out
from qtdog_tf.data.domains import DomainSet
from qtdog_tf.data.splits import Split
from qtdog_tf.errors import UserError
from qtdog_tf.records import SWAD
from qtdog_tf.training.roles import Roles
from qtdog_tf.training.settings import TrainSettings
from qtdog_tf.training.teacher import Teacher, validation_splits


@dataclasses.dataclass(frozen=True, eq=False)
class Validation:
    """What evaluations look at.

    Attributes:
        splits: by domain; "out" of a source domain is its validation part.
        tests: positions of the images of a test part, by source domain; empty without.
        last_only: whether nothing is left to select a step by, so that the last one counts.
        record: of the teacher, if there is one: what it is, and how selection went about it.
    """

    splits: Mapping[str, Split]
    tests: Mapping[str, np.ndarray]
    last_only: bool
    record: Mapping[str, Any]


def plan_validation(
    domain_set: DomainSet,
    splits: Mapping[str, Split],
    roles: Roles,
    trial_seed: int,
    settings: TrainSettings,
    teacher: Teacher | None = None,
) -> Validation:
    """What evaluations of a run look at.

    Args:
        domain_set: the data.
        splits: of the run, which its training images are from.
        roles: sources and targets.
        trial_seed: as `split_domains` got it.
        settings: of the run.
        teacher: for distillation. Then validation images are those that it has not seen either.

    Raises:
        UserError: if a half of what is set aside would be empty; or the settings rest on images
            that the teacher has seen.
    """
    if teacher is None and settings.in_domain_test:
        by = settings.split_by or None
        halved, tests = halve_held_out(domain_set, splits, trial_seed, by)
        sources = {name: halved[name] for name in roles.sources}
        of_sources = {name: tests[name] for name in roles.sources}
        return Validation({**splits, **sources}, of_sources, False, {})
    if teacher is None:
        return Validation(splits, {}, False, {})
    if settings.in_domain_test:
        raise UserError(
            "in_domain_test has no place beside a teacher, which may have been trained on the test "
            "images: leave out one of the two"
        )
    unseen = validation_splits(splits, teacher)
    if unseen is None and SWAD in settings.averages:
        raise UserError(
            "swad looks for its end on validation images, and the teacher's members were together "
            "trained on nearly all of them: leave swad out of averages"
        )
    found = splits if unseen is None else unseen
    record = {
        **teacher.record,
        "selected_by": "last step" if unseen is None else "images that no teacher was trained on",
        "validation_images": {name: len(found[name].out) for name in roles.sources},
    }
    return Validation(found, {}, unseen is None, record)
