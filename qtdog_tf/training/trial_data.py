"""The images of a trial: its split, what a step draws of it, and what evaluations look at.

Start from `TrialData`.
"""

from typing import Any

from qtdog_tf.data import CachePlan, plan_cache, split_domains, split_fingerprint
from qtdog_tf.data.domains import DomainSet
from qtdog_tf.records import IN, OUT
from qtdog_tf.training.bad_images import without_images
from qtdog_tf.training.batches import MEBIBYTE, Batches
from qtdog_tf.training.evaluation import Part
from qtdog_tf.training.memory import evaluation_bytes
from qtdog_tf.training.model import derive_seed
from qtdog_tf.training.parts import evaluation_parts
from qtdog_tf.training.roles import Roles
from qtdog_tf.training.settings import AUGMENT, TrainSettings
from qtdog_tf.training.teacher import Teacher
from qtdog_tf.training.validation import plan_validation


class TrialData:
    """The images of one (targets, trial seed).

    Args:
        settings: of the runs.
        domain_set: the data.
        roles: sources and targets.
        trial_seed: chooses the split.
        teacher: for distillation.
        replicas: devices that share a batch.

    Attributes:
        splits: by domain.
        seed: of all that is drawn in the trial.
        validation: see `plan_validation`.
    """

    def __init__(
        self,
        settings: TrainSettings,
        domain_set: DomainSet,
        roles: Roles,
        trial_seed: int,
        teacher: Teacher | None = None,
        replicas: int = 1,
    ) -> None:
        self.settings = settings
        self.domain_set = domain_set
        self.roles = roles
        self.trial_seed = trial_seed
        self.replicas = replicas
        self.splits = split_domains(
            domain_set, trial_seed, settings.holdout, settings.split_by or None
        )
        self.seed = derive_seed(settings.seed, trial_seed, roles.sources, roles.targets)
        self.validation = plan_validation(
            domain_set, self.splits, roles, trial_seed, settings, teacher
        )
        self._parts: dict[frozenset[str], list[Part]] = {}

    def identity(self) -> dict[str, Any]:
        """What must be the same when a trial goes on, as plain values."""
        images = {
            name: {IN: len(split.in_), OUT: len(split.out)} for name, split in self.splits.items()
        }
        identity = {
            "sources": self.roles.sources,
            "targets": self.roles.targets,
            "trial_seed": self.trial_seed,
            "classes": self.domain_set.classes,
            "images": images,
            "listing": self.domain_set.fingerprint(),
            "split": split_fingerprint(self.splits),
        }
        if self.validation.record:
            identity["teacher"] = self.validation.record
        return identity

    def parts(self, skipped: frozenset[str] = frozenset()) -> list[Part]:
        """What every evaluation looks at.

        Args:
            skipped: paths of training images that others of their domain stand in for.
        """
        if skipped not in self._parts:
            splits = without_images(self.domain_set, self.validation.splits, skipped)
            # Only what a source was trained on; a figure on fewer target images would be another.
            splits.update({name: self.splits[name] for name in self.roles.targets})
            self._parts[skipped] = evaluation_parts(
                self.domain_set,
                splits,
                self.roles,
                self.settings.image_size,
                self.validation.tests,
            )
        return self._parts[skipped]

    @property
    def cache_plan(self) -> CachePlan:
        """What keeping the training images in memory takes; as text, a sentence for the user."""
        limit = self.settings.cache_mb * MEBIBYTE
        return plan_cache(self.domain_set, self.splits, self.roles.sources, limit)

    @property
    def kept_bytes(self) -> int:
        """What is held in memory of images, and of the logits of the largest evaluation."""
        plan = self.cache_plan
        images = [len(part.labels) for part in self.parts()]
        evaluated = evaluation_bytes(images, len(self.domain_set.classes), self.settings.image_size)
        return evaluated + (plan.needed_bytes if plan.fits else 0)

    def batches(self, member: int = 0) -> Batches:
        """The training batches.

        Args:
            member: another one than 0 draws other images and augmentations, see `Variant`.
        """
        return Batches(
            self.domain_set,
            self.splits,
            self.roles.sources,
            self.settings.image_size,
            self.settings.images_per_domain,
            derive_seed(self.seed, "member", member) if member else self.seed,
            self.settings.cache_mb,
            self.settings.augment == AUGMENT,
            self.replicas,
        )
