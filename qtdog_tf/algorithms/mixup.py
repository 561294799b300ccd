"""Mixup between domains: images and labels of two domains are blended."""

import keras
import tensorflow as tf

from qtdog_tf.algorithms.base import Algorithm, Batch, cross_entropy
from qtdog_tf.algorithms.passes import Outcome
from qtdog_tf.algorithms.randomness import permutation, step_seed, symmetric_beta


class Mixup(Algorithm):
    """loss = mean over pairs of a CE(model(x), y_i) + (1 - a) CE(model(x), y_j).

    x = a x_i + (1 - a) x_j with one a ~ Beta(alpha, alpha) a pair of domains; the pairs are the
    neighbours in a random ring of all domains. Zhang et al., "mixup", ICLR 2018; between domains
    Yan et al., "Improve Unsupervised Domain Adaptation with Mixup Training", arXiv:2001.00677; as
    in DomainBed. The accuracy that training logs counts the class with the larger share.

    Args:
        alpha: above 0. Default 0.2.
        seed: of pairs and shares. Default 0.
    """

    name = "mixup"
    # Pairs are images of the same number in two domains, which lie on the same replica.
    splits_over_replicas = True
    min_domains = 2

    def __init__(self, alpha: float = 0.2, seed: int = 0) -> None:
        self.alpha = alpha
        self.seed = seed

    def draw(self, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The ring (a permutation of the domains, int32 [D]) and the shares a, float32 [D]."""
        ring = permutation(self.num_domains, step_seed(self.seed, step, 0))
        return ring, symmetric_beta(self.alpha, [self.num_domains], step_seed(self.seed, step, 1))

    def loss(self, model: keras.Model, batch: Batch) -> Outcome:
        """See the class."""
        ring, shares = self.draw(batch.step)
        images = self.by_domain(tf.cast(batch.images, tf.float32))
        labels = self.by_domain(batch.labels)
        first, second = ring, tf.roll(ring, -1, axis=0)
        share = tf.reshape(shares, [-1, 1, 1, 1, 1])
        mixed = share * tf.gather(images, first) + (1.0 - share) * tf.gather(images, second)
        logits = model(tf.reshape(mixed, tf.shape(batch.images)), training=True)
        labels_first, labels_second = tf.gather(labels, first), tf.gather(labels, second)
        share = shares[:, None]
        losses = [
            self.by_domain(cross_entropy(tf.reshape(wanted, [-1]), logits))
            for wanted in (labels_first, labels_second)
        ]
        loss = tf.reduce_mean(share * losses[0] + (1.0 - share) * losses[1])
        # Keras sums the gradients of replicas; the compiled loss has this in it.
        loss /= tf.distribute.get_strategy().num_replicas_in_sync
        larger = tf.where(share >= 0.5, labels_first, labels_second)
        return Outcome(loss, logits, labels=tf.reshape(larger, [-1]))
