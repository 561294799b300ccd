"""CORAL: features of all domains should have the same mean and covariance."""

import keras
import tensorflow as tf

from qtdog_tf.algorithms.base import Batch, FeatureAlgorithm, cross_entropy
from qtdog_tf.algorithms.passes import Outcome


class CORAL(FeatureAlgorithm):
    """loss = mean cross-entropy + gamma * mean over pairs of domains of `distance`.

    The distance of domains i and j is mean_d (mu_i - mu_j)^2 + mean_{d,d'} (C_i - C_j)^2, with mu
    the means and C the covariances (over n - 1) of the features. Sun and Saenko, "Deep CORAL", ECCV
    Workshops 2016; as in DomainBed.

    Args:
        gamma: weight of the penalty. Default 1.
    """

    name = "coral"
    # Covariances are over all images of a domain.
    splits_over_replicas = False
    min_domains = 2
    min_images = 2

    def __init__(self, gamma: float = 1.0) -> None:
        self.gamma = gamma

    def loss(self, model: keras.Model, batch: Batch) -> Outcome:
        """See the class."""
        features, logits = self.run(batch)
        penalty = coral_penalty(self.by_domain(features))
        loss = tf.reduce_mean(cross_entropy(batch.labels, logits)) + self.gamma * penalty
        return Outcome(loss, logits)


def coral_penalty(features: tf.Tensor) -> tf.Tensor:
    """The mean over pairs of domains of the distance that `CORAL` names, a scalar.

    Args:
        features: float32 [D, n, d], n at least 2.
    """
    mean = tf.reduce_mean(features, axis=1, keepdims=True)
    centred = features - mean
    count = tf.cast(tf.shape(features)[1], features.dtype)
    covariance = tf.matmul(centred, centred, transpose_a=True) / (count - 1.0)
    return _mean_squared_difference(mean) + _mean_squared_difference(covariance)


def _mean_squared_difference(values: tf.Tensor) -> tf.Tensor:
    """The mean of (a_i - a_j)^2 over pairs i < j of [D, ...] and over all else.

    The sum over pairs is D times that of the squared deviations from the mean, so no pair is made.
    """
    domains = values.shape[0]
    deviations = values - tf.reduce_mean(values, axis=0, keepdims=True)
    return 2.0 * domains / (domains - 1) * tf.reduce_mean(deviations**2)
