"""IRM: in every domain the same classifier should be the best one."""

import keras
import tensorflow as tf

from qtdog_tf.algorithms.base import Algorithm, Batch, cross_entropy
from qtdog_tf.algorithms.passes import Outcome


class IRM(Algorithm):
    """loss = mean_m L_m + lambda * mean_m g_m' g_m'', the penalty IRMv1.

    g_m' and g_m'' are the derivatives of the cross-entropy of s * logits by s, at s = 1, over the
    images of domain m with even and with odd number; their product estimates the squared
    derivative without bias. The weight of the penalty is 1 before `anneal_steps` and
    `penalty_weight` from there on, when the optimizer's moments are forgotten. Arjovsky et al.,
    "Invariant Risk Minimization", arXiv:1907.02893; as in DomainBed.

    Args:
        penalty_weight: lambda. Default 100.
        anneal_steps: steps before it counts. Default 500.
    """

    name = "irm"
    # The penalty is a product of means over the images of a domain.
    splits_over_replicas = False
    min_domains = 2
    needs_inner = True
    min_images = 2

    def __init__(self, penalty_weight: float = 100.0, anneal_steps: int = 500) -> None:
        self.penalty_weight = penalty_weight
        self.reset_step = self.anneal_steps = anneal_steps

    def loss(self, model: keras.Model, batch: Batch) -> Outcome:
        """See the class."""
        logits = model(batch.images, training=True)
        slopes = self.by_domain(scale_derivative(batch.labels, logits))
        even = tf.reduce_mean(slopes[:, ::2], axis=1)
        odd = tf.reduce_mean(slopes[:, 1::2], axis=1)
        weight = tf.where(batch.step >= self.anneal_steps, self.penalty_weight, 1.0)
        loss = tf.reduce_mean(cross_entropy(batch.labels, logits))
        return Outcome(loss + weight * tf.reduce_mean(even * odd), logits)


def scale_derivative(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """By the scale s, at 1, the derivative of CE(s z, y): sum_k (softmax(z) - onehot(y))_k z_k.

    Args:
        labels: integer [B].
        logits: z, [B, classes].

    Returns:
        float32 [B].
    """
    logits = tf.cast(logits, tf.float32)
    # A tensor of its own: see `mmd_penalty`.
    logits = tf.identity(logits)
    errors = tf.nn.softmax(logits) - tf.one_hot(labels, logits.shape[-1])
    return tf.reduce_sum(errors * logits, axis=1)
