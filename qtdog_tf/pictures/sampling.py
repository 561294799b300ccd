"""A fair choice of a few images to show."""

import numpy as np


def balanced_sample(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Draws images at random, as many of one class as of any other.

    One image of each class is drawn, then another of each, until there are enough: in the last
    round the classes that are left out are a matter of chance too, and a class that has run out of
    images leaves its place to the others.

    Args:
        labels: class of each image, int [n].
        count: how many to draw.
        seed: the same seed draws the same images.

    Returns:
        int64 [min(count, n)], positions in `labels`, by class.
    """
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(labels))
    ordered = labels[order]
    # The round in which an image would be drawn: how many of its class stand before it.
    rounds = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        rounds[ordered == label] = np.arange(np.sum(ordered == label))
    # Rounds first. In the last one each class has one image, so a draw of lots is fair to all.
    drawn = order[np.lexsort((generator.random(len(labels)), rounds))][:count]
    return drawn[np.argsort(labels[drawn], kind="stable")]
