"""The split of an ensemble: what none of its members was trained on."""

from collections.abc import Sequence

import numpy as np

from qtdog_tf.data.splits import Split


def common_split(splits: Sequence[Split], trained: Sequence[bool]) -> Split:
    """The split of one domain that holds for every member of an ensemble.

    If all members have the same split, this is it.

    Args:
        splits: of the domain, one for each member.
        trained: whether the domain is a source of each member.

    Returns:
        For a domain that any member was trained on, "out" holds the images that no member was
        trained on (of five members with splits of their own that is almost nothing), and "in" the
        rest. For another domain "in" is that of the first member, where single models are
        reported, and "out" is what every member's split holds out: with `split_by`, images of
        objects that no member has seen anywhere. Images that are in neither part remain.
    """
    first = splits[0]
    # In the shuffled order of the first, so that the first m of a part are a fair sample of it.
    order = np.concatenate([first.in_, first.out])
    if any(trained):
        parts = [split.in_ for split, is_source in zip(splits, trained, strict=True) if is_source]
        seen = np.isin(order, np.concatenate(parts))
        return Split(order[seen], order[~seen])
    held_out = [np.isin(order, split.out) for split in splits]
    return Split(first.in_, order[np.logical_and.reduce(held_out)])
