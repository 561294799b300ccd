"""The variants of MNIST from the IDX files."""

from collections.abc import Callable

from qtdog_tf.data.mnist import IdxSource, checksum_findings, variant_images
from qtdog_tf.prepare.member import Member
from qtdog_tf.prepare.settings import PrepareSettings
from qtdog_tf.prepare.tree import ImageTree


def add_mnist_images(
    tree: ImageTree, source: IdxSource, settings: PrepareSettings, advance: Callable[[int], object]
) -> tuple[str, ...]:
    """Adds the images of a variant.

    Args:
        tree: of one of `MNIST_VARIANTS`.
        source: the images of MNIST or Fashion-MNIST.
        settings: seed and resampling.
        advance: called with 1 for each image.

    Returns:
        Findings: files whose checksum is not known.

    Raises:
        UserError: if a file is damaged.
    """
    findings = checksum_findings(tree.entry.name, source.files)
    images = variant_images(
        tree.entry.name, source, seed=settings.seed, resampling=settings.resampling
    )
    for image in images:
        tree.add(image.domain, image.kind, Member.in_memory(image.name, image.png))
        advance(1)
    return findings
