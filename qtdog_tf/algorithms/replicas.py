"""What several devices may compute together, each on its share of a batch.

Replica r of R sees n / R images of every domain, and the gradients of all are summed. That is the
step of one device where the loss is a mean over images and an image's loss depends on nothing but
this image and the weights. Whatever looks at several images at once would see a part of them.
"""

import keras

from qtdog_tf.algorithms.base import Algorithm
from qtdog_tf.algorithms.passes import changed_by_training
from qtdog_tf.errors import UserError


def check_algorithm(algorithm: Algorithm, replicas: int) -> None:
    """Refuses a method that does not split.

    Args:
        algorithm: the method.
        replicas: devices that share a batch.

    Raises:
        UserError: naming what to use instead.
    """
    if replicas > 1 and not algorithm.splits_over_replicas:
        raise UserError(
            f"algorithm {algorithm.name} needs the whole batch on one device, and {replicas} are "
            "to share it: use --strategy=none (a sweep gives every device a run of its own), or an "
            "algorithm whose loss is a mean over images: erm, mixup or distill"
        )


def check_layers(model: keras.Model, replicas: int) -> None:
    """Refuses layers that measure the batch (BatchNorm) or draw random numbers for all of it.

    Two replicas of such a layer would keep different statistics, or drop the same places in
    different images.

    Args:
        model: that is to be trained.
        replicas: devices that share a batch.

    Raises:
        UserError: naming the first such layer and what to use instead.
    """
    if replicas == 1:
        return
    for layer in model._flatten_layers(include_self=False, recursive=True):
        if changed_by_training(layer):
            raise UserError(
                f"layer {layer.name!r} ({type(layer).__name__}) has statistics or random numbers "
                f"for the whole batch, which {replicas} devices are to share: use --strategy=none, "
                "or do without it (--freeze_batch_norm, --dropout=0)"
            )
