"""GroupDRO: the domain that does worst gets the largest weight."""

from typing import Any

import keras
import tensorflow as tf

from qtdog_tf.algorithms.base import Algorithm, Batch, cross_entropy
from qtdog_tf.algorithms.passes import Outcome


class GroupDRO(Algorithm):
    """loss = sum_m q_m L_m / D with q_m <- q_m exp(eta L_m), normalised, before each step.

    L_m is the mean cross-entropy of domain m; no gradient flows through q, which starts out equal.
    Sagawa et al., "Distributionally Robust Neural Networks for Group Shifts", ICLR 2020; as in
    DomainBed.

    Args:
        eta: step length of the weights. Default 0.01.
    """

    name = "groupdro"
    # A domain's weight comes from its loss over all of its images.
    splits_over_replicas = False
    min_domains = 2

    def __init__(self, eta: float = 1e-2) -> None:
        self.eta = eta

    def build(self, model: keras.Model, num_domains: int) -> None:
        """See `Algorithm.build`."""
        super().build(model, num_domains)
        self.weights = keras.Variable(
            tf.fill([num_domains], 1.0 / num_domains), trainable=False, name="domain_weights"
        )

    @property
    def variables(self) -> list[Any]:
        """q, float32 [D]."""
        return [self.weights]

    def loss(self, model: keras.Model, batch: Batch) -> Outcome:
        """See the class."""
        logits = model(batch.images, training=True)
        losses = tf.reduce_mean(self.by_domain(cross_entropy(batch.labels, logits)), axis=1)
        raised = self.weights.value * tf.exp(self.eta * tf.stop_gradient(losses))
        weights = raised / tf.reduce_sum(raised)
        loss = tf.reduce_sum(weights * losses) / self.num_domains
        return Outcome(loss, logits, updates=[(self.weights, weights)])
