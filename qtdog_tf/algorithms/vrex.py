"""VREx: the domains' losses should be equal."""

import keras
import tensorflow as tf

from qtdog_tf.algorithms.base import Algorithm, Batch, cross_entropy
from qtdog_tf.algorithms.passes import Outcome


class VREx(Algorithm):
    """loss = mean_m L_m + lambda * mean_m (L_m - mean L)^2.

    The weight of the variance is 1 before `anneal_steps` and `penalty_weight` from there on, when
    the optimizer's moments are forgotten. Krueger et al., "Out-of-Distribution Generalization via
    Risk Extrapolation", ICML 2021; as in DomainBed.

    Args:
        penalty_weight: lambda. Default 10.
        anneal_steps: steps before it counts. Default 500.
    """

    name = "vrex"
    # The variance is that of losses over all images of a domain.
    splits_over_replicas = False
    min_domains = 2
    needs_inner = True

    def __init__(self, penalty_weight: float = 10.0, anneal_steps: int = 500) -> None:
        self.penalty_weight = penalty_weight
        self.reset_step = self.anneal_steps = anneal_steps

    def loss(self, model: keras.Model, batch: Batch) -> Outcome:
        """See the class."""
        logits = model(batch.images, training=True)
        losses = tf.reduce_mean(self.by_domain(cross_entropy(batch.labels, logits)), axis=1)
        weight = tf.where(batch.step >= self.anneal_steps, self.penalty_weight, 1.0)
        loss = tf.reduce_mean(losses) + weight * tf.math.reduce_variance(losses)
        return Outcome(loss, logits)
