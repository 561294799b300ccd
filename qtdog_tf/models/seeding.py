"""One seed for all random choices that building a model makes.

Start with `seeded_initializers`.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def seeded_initializers(seed: int, purpose: str) -> Iterator[None]:
    """Makes the initializers and dropout layers that are created inside draw from `seed`.

    Keras takes the seed of each initializer that was given none from Python's `random` module.
    That module is seeded here and put back afterwards, so the caller's random numbers stay as they
    are (`keras.utils.set_random_seed` would change them).

    Args:
        seed: any integer.
        purpose: a word that separates this use of the seed from others, e.g. "head".
    """
    state = random.getstate()
    random.seed(f"{purpose} {seed}")
    try:
        yield
    finally:
        random.setstate(state)
