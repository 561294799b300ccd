"""The images that an analysis looks at, in memory. Start from `read_samples`."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from qtdog_tf.data.domains import DomainSet
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation.images import ALL, choose_images
from qtdog_tf.evaluation.pixels import read_pixels
from qtdog_tf.evaluation.run_folder import Run
from qtdog_tf.records import IN, OUT, SOURCE, TARGET


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """Images of one part of one domain.

    Attributes:
        domain: name of the domain.
        role: "source", "target" or "new" (neither, for the run).
        part: "in" (80 %; of a source domain what the run was trained on), "out" (20 %) or "all".
        paths: the files, in the order of the arrays.
        pixels: uint8 [n, height, width, 3].
        labels: int32 [n], in the run's numbering of classes.
    """

    domain: str
    role: str
    part: str
    paths: tuple[str, ...]
    pixels: np.ndarray
    labels: np.ndarray


def read_samples(
    run: Run, domain_set: DomainSet, *, limit: int | None = None, seed: int = 0
) -> list[Sample]:
    """Reads a run's training images, validation images and targets.

    Args:
        run: the run, which says what is source, target, "in" and "out".
        domain_set: the data that it was trained on.
        limit: at most so many images of each part of each domain, drawn at random. Default: all.
        seed: of that choice, which depends on it, the domain and the part alone, so that runs
            with equal splits are looked at on equal images.

    Returns:
        "in" and "out" of each source, "all" of each target; parts without images are left out.

    Raises:
        UserError: if the data is not what the run was trained on, or an image cannot be read.
    """
    if not run.owns(domain_set):
        raise UserError(
            f"{domain_set.name} is not what run {run.path} was trained on, or has changed since: "
            "an analysis needs the run's own data"
        )
    splits = run.splits(domain_set)
    # Members of an ensemble with splits of their own have seen every image of a source together.
    wanted = [(name, IN) for name in run.sources if len(splits[name].in_)]
    wanted += [(name, OUT) for name in run.sources if len(splits[name].out)]
    wanted += [(name, ALL) for name in run.targets]
    return [_read(run, domain_set, name, part, limit, seed) for name, part in wanted]


def of_role(samples: Sequence[Sample], role: str) -> list[Sample]:
    """What a loss of that role is measured on: the training images of sources, or the targets.

    Args:
        samples: what `read_samples` returned.
        role: "source" or "target".
    """
    part = {SOURCE: IN, TARGET: ALL}[role]
    return [s for s in samples if s.role == role and s.part == part]


def _read(
    run: Run, domain_set: DomainSet, name: str, part: str, limit: int | None, seed: int
) -> Sample:
    (images,) = choose_images(run, domain_set, (name,), part)
    chosen = np.arange(len(images.domain))
    if limit is not None and len(chosen) > limit:
        key = [seed, sum(name.encode()), len(chosen)]
        chosen = np.sort(np.random.default_rng(key).permutation(chosen)[:limit])
    paths = tuple(images.domain.paths_at(chosen))
    pixels = read_pixels(paths, run.image_size)
    return Sample(name, images.role, part, paths, pixels, images.domain.labels[chosen])
