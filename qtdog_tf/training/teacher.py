"""What distillation needs to know of a teacher: its model, and what it has never seen.

A teacher has learned the labels of the images that its members were trained on. If those are
validation images of the student, it may pass on what it remembers, and validation looks better
than it is. So a student is selected on images that no member was trained on. Start from
`validation_splits`.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from qtdog_tf.data.splits import Split

# Fewer images of a domain choose a step by chance; unless they are all that the student has.
MIN_IMAGES = 20


@dataclasses.dataclass(frozen=True)
class Teacher:
    """The model that a student learns from.

    Attributes:
        load: returns it, for inference; from the student's images to its classes.
        unseen: by source domain of the student, positions of the images that no member of the
            teacher was trained on.
        record: what is written down of it, as plain values.
    """

    load: Callable[[], keras.Model]
    unseen: Mapping[str, np.ndarray]
    record: Mapping[str, Any]


def validation_splits(splits: Mapping[str, Split], teacher: Teacher) -> dict[str, Split] | None:
    """The student's splits with validation images that the teacher has not seen either.

    Args:
        splits: of the student, by domain.
        teacher: its teacher.

    Returns:
        `splits`, with the "out" part of each source domain cut to what no member of the teacher was
        trained on; None if that leaves too few images in a domain to select by.
    """
    found = dict(splits)
    for name, unseen in teacher.unseen.items():
        own = splits[name]
        left = own.out[np.isin(own.out, unseen)]
        if len(left) < min(MIN_IMAGES, len(own.out)):
            return None
        found[name] = Split(own.in_, left)
    return found
