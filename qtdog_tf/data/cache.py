"""Says what keeping images in memory takes, so that a program can tell before it does.

Start from `plan_cache`.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qtdog_tf.data.domains import DomainSet
from qtdog_tf.data.splits import Split
from qtdog_tf.errors import UserError

MEBIBYTE = 2**20
DEFAULT_CACHE_BYTES = 1024 * MEBIBYTE


@dataclass(frozen=True)
class CachePlan:
    """What keeping images in memory takes, and whether it is done.

    Attributes:
        what: for a person, for example "1,448 training files".
        needed_bytes: memory that it takes.
        limit_bytes: memory that it may take.
    """

    what: str
    needed_bytes: int
    limit_bytes: int

    @property
    def fits(self) -> bool:
        """Whether the images are kept in memory."""
        return self.needed_bytes <= self.limit_bytes

    def __str__(self) -> str:
        where = "kept in memory" if self.fits else "read from disk again and again"
        needed, limit = self.needed_bytes / MEBIBYTE, self.limit_bytes / MEBIBYTE
        return f"{self.what}: {needed:,.1f} MiB, {where} (limit {limit:,.0f} MiB)"


def plan_cache(
    domain_set: DomainSet,
    splits: Mapping[str, Split],
    source_domains: Sequence[str],
    cache_bytes: int = DEFAULT_CACHE_BYTES,
) -> CachePlan:
    """Says what keeping the files of the training images in memory takes.

    Args:
        domain_set: the domains.
        splits: the split of each domain; the "in" parts are meant.
        source_domains: names of the domains to train on.
        cache_bytes: the limit.

    Returns:
        The plan that `training_batches` follows; `str(plan)` is a sentence for the user.

    Raises:
        UserError: if a file is gone.
    """
    parts = [domain_set.domain(name).paths.take(splits[name].in_) for name in source_domains]
    try:
        # A Path for each takes four times as long.
        needed = sum(os.stat(path).st_size for paths in parts for path in paths)  # noqa: PTH116
    except OSError as error:
        raise UserError(f"image {error.filename} cannot be read: {error.strerror}") from error
    return CachePlan(f"{sum(map(len, parts)):,} training files", needed, cache_bytes)
