"""MMD: features of all domains should have the same distribution."""

import keras
import numpy as np
import tensorflow as tf

from qtdog_tf.algorithms.base import Batch, FeatureAlgorithm, cross_entropy
from qtdog_tf.algorithms.passes import Outcome

BANDWIDTHS = (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3)


class MMD(FeatureAlgorithm):
    """loss = mean cross-entropy + gamma * mean over pairs of domains of `distance`.

    The distance of domains with features x and y is mean k(x, x') + mean k(y, y') - 2 mean k(x, y).
    The kernel is a sum of Gaussians, k(a, b) = sum_g exp(-g |a - b|^2) with g from 0.001 to 1000.
    Li et al., "Domain Generalization with Adversarial Feature Learning", CVPR 2018; as in
    DomainBed.

    Args:
        gamma: weight of the penalty. Default 1.
    """

    name = "mmd"
    # The kernel compares each image with every other.
    splits_over_replicas = False
    min_domains = 2

    def __init__(self, gamma: float = 1.0) -> None:
        self.gamma = gamma

    def loss(self, model: keras.Model, batch: Batch) -> Outcome:
        """See the class."""
        features, logits = self.run(batch)
        penalty = mmd_penalty(features, self.num_domains)
        loss = tf.reduce_mean(cross_entropy(batch.labels, logits)) + self.gamma * penalty
        return Outcome(loss, logits)


def mmd_penalty(features: tf.Tensor, domains: int) -> tf.Tensor:
    """The mean over pairs of domains of the distance that `MMD` names, a scalar.

    Args:
        features: float32 [D * n, d], domain by domain.
        domains: D.
    """
    # Through a tensor of its own, so that no tensor collects more than two gradients: TensorFlow
    # adds three in the order in which their memory is free, and runs would not repeat exactly.
    factors = tf.identity(features)
    squares = tf.reduce_sum(features**2, axis=1)
    products = tf.matmul(factors, factors, transpose_b=True)
    # Rounding may make the distance of two equal features negative.
    distances = tf.maximum(squares[:, None] + squares[None] - 2.0 * products, 1e-30)
    kernels = tf.exp(-tf.reshape(tf.constant(BANDWIDTHS), [-1, 1, 1]) * distances)
    size = tf.shape(features)[0] // domains
    blocks = tf.reshape(tf.reduce_sum(kernels, axis=0), [domains, size, domains, size])
    means = tf.reduce_mean(blocks, axis=(1, 3))
    # Each domain's own mean is in D - 1 pairs, and a mean of two domains counts -2 in one pair,
    # where it stands twice in the matrix.
    counts = domains * np.eye(domains) - 1.0
    return tf.reduce_sum(means * counts.astype("float32")) / (domains * (domains - 1) / 2)
