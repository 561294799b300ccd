"""The parts of the data that evaluations look at."""

from collections.abc import Mapping

import numpy as np

from qtdog_tf.data.domains import DomainSet
from qtdog_tf.data.kept_batches import kept_images
from qtdog_tf.data.splits import Split
from qtdog_tf.records import IN, OUT, SOURCE, TARGET, TEST
from qtdog_tf.training.evaluation import Part
from qtdog_tf.training.roles import Roles

BATCH_SIZE = 64


def evaluation_parts(
    domain_set: DomainSet,
    splits: Mapping[str, Split],
    roles: Roles,
    image_size: int,
    tests: Mapping[str, np.ndarray] | None = None,
) -> list[Part]:
    """Source validation, both parts of every target, and at the last step the training images.

    Args:
        domain_set: the data.
        splits: by domain.
        roles: sources and targets.
        image_size: height and width, pixels.
        tests: positions of further images of source domains, for a test part. Default: none.
    """
    chosen = [(name, SOURCE, OUT, False) for name in roles.sources]
    chosen += [(name, TARGET, split, False) for name in roles.targets for split in (IN, OUT)]
    chosen += [(name, SOURCE, TEST, False) for name in roles.sources if tests]
    chosen += [(name, SOURCE, IN, True) for name in roles.sources]
    parts = []
    for name, role, split, last_only in chosen:
        domain = domain_set.domain(name)
        of_split = {IN: splits[name].in_, OUT: splits[name].out, TEST: (tests or {}).get(name)}
        indices = np.asarray(of_split[split])
        images = kept_images(domain, indices, image_size=image_size, batch_size=BATCH_SIZE)
        parts.append(Part(name, role, split, images, domain.labels[indices], last_only))
    return parts
