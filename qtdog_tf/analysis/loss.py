"""The loss E(w) that an analysis looks at, measured many times while the weights change.

E is the mean cross-entropy in nats, of a domain over its images and of a role over its domains, so
that a large domain counts as much as a small one. Start from `RoleLoss`.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from qtdog_tf.analysis.samples import Sample, of_role
from qtdog_tf.errors import UserError
from qtdog_tf.records import SOURCE, TARGET

BATCH_SIZE = 256


def image_losses(model: keras.Model, pixels: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """The cross-entropy of each image, in inference mode, differentiable twice.

    Args:
        model: from pixels to logits [n, classes].
        pixels: uint8 or float [n, height, width, 3], 0 to 255.
        labels: integers [n].

    Returns:
        float32 [n], nats.
    """
    logits = tf.cast(model(pixels, training=False), tf.float32)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def cross_entropy(model: keras.Model, pixels: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """The sum of `image_losses`: a float32 scalar, nats. Arguments are the same."""
    return tf.reduce_sum(image_losses(model, pixels, labels))


class DomainLoss:
    """The mean cross-entropy of each sample under the weights that the model has at the moment.

    The images stay in the device's memory, and the model is traced once: weights may be assigned
    between calls, but the quantization mode must not change any more. Images of several samples
    share batches, so that only the last batch of all is smaller.

    Args:
        model: from pixels to logits [n, classes].
        samples: one or more, with images of one size.
        batch_size: images at once. Default 256.

    Raises:
        ValueError: if there is no sample, or one without images.

    Example:

        loss = DomainLoss(model, samples)
        before = loss()
        kernel.assign(kernel + noise)
        rise = loss() - before
    """

    def __init__(
        self, model: keras.Model, samples: Sequence[Sample], batch_size: int = BATCH_SIZE
    ) -> None:
        sizes = [len(sample.labels) for sample in samples]
        if not sizes or not all(sizes):
            raise ValueError(f"a loss needs samples with images, received {sizes} images")
        pixels = np.concatenate([sample.pixels for sample in samples])
        labels = np.concatenate([sample.labels for sample in samples]).astype(np.int32)
        self._starts = np.cumsum([0, *sizes[:-1]])
        self._sizes = np.asarray(sizes, np.float64)
        self._batches = [
            (tf.constant(pixels[i : i + batch_size]), tf.constant(labels[i : i + batch_size]))
            for i in range(0, len(labels), batch_size)
        ]

        def losses(pixels: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
            return image_losses(model, pixels, labels)

        # Without a batch size, or the last batch would be traced too.
        signature = [
            tf.TensorSpec([None, *pixels.shape[1:]], pixels.dtype),
            tf.TensorSpec([None], tf.int32),
        ]
        self._losses = tf.function(losses, input_signature=signature)

    def __call__(self) -> np.ndarray:
        """Measures.

        Returns:
            float64 [samples], nats; summed in float64.
        """
        losses = np.concatenate([self._losses(*batch).numpy() for batch in self._batches])
        return np.add.reduceat(losses.astype(np.float64), self._starts) / self._sizes


class RoleLoss:
    """E(w) of each role: the mean of `DomainLoss` over its domains, see `of_role`.

    Args:
        model: see `DomainLoss`, also for what may change.
        samples: what `read_samples` returned. A role without images is left out.
        batch_size: images at once. Default 256.

    Raises:
        UserError: if no role has images.

    Attributes:
        roles: "source" and "target", as far as there are images.
        images: how many of each role, 0 for one left out.
    """

    def __init__(
        self, model: keras.Model, samples: Sequence[Sample], batch_size: int = BATCH_SIZE
    ) -> None:
        chosen = {role: of_role(samples, role) for role in (SOURCE, TARGET)}
        self.images = {r: sum(len(s.labels) for s in group) for r, group in chosen.items()}
        self.roles = tuple(role for role, group in chosen.items() if group)
        if not self.roles:
            raise UserError(
                "there is neither a training image of a source domain nor an image of a target to "
                "measure a loss on: give the data that the run was trained on"
            )
        self._starts = np.cumsum([0, *(len(chosen[role]) for role in self.roles[:-1])])
        self._domains = np.array([len(chosen[role]) for role in self.roles], np.float64)
        ordered = [sample for role in self.roles for sample in chosen[role]]
        self._loss = DomainLoss(model, ordered, batch_size)

    def __call__(self) -> np.ndarray:
        """Measures: float64 [roles], nats, in the order of `roles`."""
        return np.add.reduceat(self._loss(), self._starts) / self._domains


def at_most(samples: Sequence[Sample], limit: int, seed: int) -> list[Sample]:
    """Of what `RoleLoss` looks at, at most so many images of each role.

    Args:
        samples: what `read_samples` returned.
        limit: images of a role; each domain gives an equal part of it, 1 at least, or all it has.
        seed: of the choice, which is random.
    """
    chosen = []
    for role in (SOURCE, TARGET):
        group = of_role(samples, role)
        for i, sample in enumerate(group):
            order = np.random.default_rng((seed, i)).permutation(len(sample.labels))
            kept = np.sort(order[: max(1, limit // len(group))])
            paths = tuple(sample.paths[j] for j in kept)
            pixels, labels = sample.pixels[kept], sample.labels[kept]
            chosen.append(dataclasses.replace(sample, paths=paths, pixels=pixels, labels=labels))
    return chosen


@contextlib.contextmanager
def restored(variables: Sequence[keras.Variable]) -> Iterator[list[np.ndarray]]:
    """Puts the variables' values back at the end, bit for bit, also after an exception.

    Args:
        variables: to be changed in the block.

    Yields:
        A copy of each value.
    """
    values = [np.array(variable.numpy()) for variable in variables]
    try:
        yield values
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
