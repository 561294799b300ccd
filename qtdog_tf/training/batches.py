"""The training batches of a run, by step."""

import dataclasses

import tensorflow as tf

from qtdog_tf.data import drawn_images, training_batches
from qtdog_tf.data.domains import DomainSet
from qtdog_tf.data.splits import Split
from qtdog_tf.training.bad_images import without_images

MEBIBYTE = 2**20


@dataclasses.dataclass(frozen=True)
class Batches:
    """What is needed to draw the training batches of any step; see `training_batches`."""

    domain_set: DomainSet
    splits: dict[str, Split]
    sources: tuple[str, ...]
    image_size: int
    images_per_domain: int
    seed: int
    cache_mb: int
    augment: bool = True
    replicas: int = 1

    def between(
        self, start: int, stop: int, skipped: frozenset[str] = frozenset()
    ) -> tf.data.Dataset:
        """The batches of steps `start` to `stop` - 1.

        Args:
            start: the first step.
            stop: the step after the last.
            skipped: paths of images that others of their domain stand in for.

        Returns:
            ({"image": uint8 [n*D, size, size, 3], "domain": int32 [n*D]}, label int32 [n*D]) each.
        """
        return training_batches(
            self.domain_set,
            self._splits(skipped),
            self.sources,
            image_size=self.image_size,
            images_per_domain=self.images_per_domain,
            seed=self.seed,
            start_step=start,
            stop_step=stop,
            cache_bytes=self.cache_mb * MEBIBYTE,
            replicas=self.replicas,
            augment=self.augment,
        )

    def paths(self, step: int, skipped: frozenset[str] = frozenset()) -> list[str]:
        """The files of the images in the batch of a step."""
        return drawn_images(
            self.domain_set,
            self._splits(skipped),
            self.sources,
            images_per_domain=self.images_per_domain,
            seed=self.seed,
            step=step,
        )

    def all_paths(self, skipped: frozenset[str] = frozenset()) -> list[str]:
        """The files of all training images."""
        splits = self._splits(skipped)
        domains = [(self.domain_set.domain(name), splits[name].in_) for name in self.sources]
        return [path for domain, indices in domains for path in domain.paths_at(indices)]

    def _splits(self, skipped: frozenset[str]) -> dict[str, Split]:
        if not skipped:
            return self.splits
        return without_images(self.domain_set, self.splits, skipped)
