"""RSC: the features that the classifier relies on most are taken away from it."""

import keras
import tensorflow as tf

from qtdog_tf.algorithms.base import Batch, FeatureAlgorithm, cross_entropy
from qtdog_tf.algorithms.passes import Outcome


class RSC(FeatureAlgorithm):
    """Cross-entropy with the most useful features set to 0, in the images that this hurts most.

    With g = d logit_y / d features, an image's features are muted where g is at or above the
    (1 - feature_drop) percentile of its g. Of the images, those are muted whose probability of the
    true class falls the most, at or above the (1 - batch_drop) percentile. Masks are constants to
    the gradient. Huang et al., "Self-Challenging Improves Cross-Domain Generalization", ECCV 2020;
    as in DomainBed.

    Args:
        feature_drop: part of the features to mute. Default 1/3.
        batch_drop: part of the images to mute them in. Default 1/3.
    """

    name = "rsc"
    # Which images are muted is decided by a percentile over the batch.
    splits_over_replicas = False

    def __init__(self, feature_drop: float = 1 / 3, batch_drop: float = 1 / 3) -> None:
        self.feature_drop = feature_drop
        self.batch_drop = batch_drop

    def loss(self, model: keras.Model, batch: Batch) -> Outcome:
        """See the class."""
        features, logits = self.run(batch)
        keep = tf.stop_gradient(self._mask(features, logits, batch.labels))
        loss = tf.reduce_mean(cross_entropy(batch.labels, self.head(features * keep)))
        return Outcome(loss, logits)

    def _mask(self, features: tf.Tensor, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """1 for what stays and 0 for what is muted, float32 [B, d]."""
        # The head is linear: the gradient of a logit is a column of its kernel.
        useful = tf.gather(tf.transpose(tf.convert_to_tensor(self.head.kernel)), labels)
        weak = useful < percentile(useful, 1.0 - self.feature_drop)
        muted = self.head(features * tf.cast(weak, features.dtype))
        fall = _probability(labels, logits) - _probability(labels, muted)
        spared = fall < percentile(fall[None], 1.0 - self.batch_drop)[0]
        return tf.cast(weak | spared[:, None], features.dtype)


def percentile(values: tf.Tensor, fraction: float) -> tf.Tensor:
    """The percentile of each row, [rows, 1], linear between neighbours as `numpy.percentile`.

    Args:
        values: float32 [rows, m].
        fraction: 0 to 1.
    """
    ordered = tf.sort(values, axis=1)
    last = tf.shape(values)[1] - 1
    place = fraction * tf.cast(last, tf.float32)
    below = tf.cast(tf.floor(place), tf.int32)
    low, high = ordered[:, below], ordered[:, tf.minimum(below + 1, last)]
    return (low + (high - low) * (place - tf.floor(place)))[:, None]


def _probability(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    return tf.gather(tf.nn.softmax(logits), labels, axis=1, batch_dims=1)
