"""The images of a run that an export looks at: to calibrate with, and to compare on.

Calibration takes training images of source domains only: the ranges of the activations are part
of the model, and a target domain must not have a say in it.

Start with `calibration_choice` and `comparison_sets`.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from qtdog_tf.data.domains import DomainSet
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation import Run, choose_images
from qtdog_tf.evaluation.pixels import read_pixels
from qtdog_tf.export.checks.agreement import ImageSet

ALL = "all"


@dataclasses.dataclass(frozen=True, eq=False)
class CalibrationChoice:
    """Images to calibrate with.

    Attributes:
        pixels: uint8 [n, S, S, 3], domains mixed.
        domains: number of images by domain.
        seed: what they were chosen with.
        warnings: what the user must know, a sentence each.
    """

    pixels: np.ndarray
    domains: dict[str, int]
    seed: int
    warnings: tuple[str, ...] = ()


def calibration_choice(run: Run, domain_set: DomainSet, count: int, seed: int) -> CalibrationChoice:
    """Draws training images of a run's source domains, as many of each.

    Args:
        run: the run; of an ensemble, images that any member was trained on.
        domain_set: its data, or other data to calibrate with: all of that is drawn from.
        count: how many in all, at most.
        seed: chooses them.

    Raises:
        UserError: if there is no image, or one cannot be read.
    """
    is_own = run.owns(domain_set)
    splits = run.splits(domain_set) if is_own else {}
    names = [n for n in domain_set.names if n in run.sources] if is_own else domain_set.names
    generator = np.random.default_rng(seed)
    paths: list[str] = []
    domains: dict[str, int] = {}
    for number, name in enumerate(names):
        domain = domain_set.domain(name)
        training = np.asarray(splits[name].in_) if is_own else np.arange(len(domain))
        share = (count - len(paths)) // (len(names) - number)
        chosen = generator.permutation(training)[:share]
        domains[name] = len(chosen)
        paths += domain.paths_at(chosen)
    if not paths:
        raise UserError(f"there is no image to calibrate with in {domain_set.name}")
    # Mixed, so that every batch is like every other for the observers.
    mixed = [paths[i] for i in generator.permutation(len(paths))]
    leaked = [name for name in names if name in run.targets]
    warnings = tuple(
        f"calibration uses domain {name!r}, which the run held out: what is measured on it is no "
        "longer the accuracy on a domain never seen"
        for name in leaked
    )
    return CalibrationChoice(read_pixels(mixed, run.image_size), domains, seed, warnings)


def comparison_sets(
    run: Run, domain_set: DomainSet, per_domain: int, seed: int, domains: Sequence[str] = ()
) -> list[ImageSet]:
    """Images of every domain to compare file and model on, trained on or not.

    Args:
        run: the run.
        domain_set: its data, or other data.
        per_domain: how many of each domain, at most; drawn at random if there are more.
        seed: chooses them.
        domains: names of the domains; default all.

    Raises:
        UserError: if no image is of a class of the run, or one cannot be read.
    """
    sets = []
    for images in choose_images(run, domain_set, domains, ALL):
        count = len(images.domain)
        if not count:
            continue
        order = np.random.default_rng(seed).permutation(count)[:per_domain]
        chosen = np.sort(order)
        pixels = read_pixels(images.domain.paths_at(chosen), run.image_size)
        labels = images.domain.labels[chosen]
        sets.append(ImageSet(images.domain.name, images.role, pixels, labels))
    return sets
