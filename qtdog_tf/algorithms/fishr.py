"""Fishr: the gradients of the classifier should vary alike in all domains."""

from typing import Any

import keras
import tensorflow as tf

from qtdog_tf.algorithms.base import Batch, FeatureAlgorithm, cross_entropy
from qtdog_tf.algorithms.passes import Outcome


class Fishr(FeatureAlgorithm):
    """loss = mean cross-entropy + lambda * mean_m mean_k (v_mk - mean_m v_mk)^2.

    v_m is the variance, over the images of domain m, of the gradients of the cross-entropy by each
    weight k of the head. It is smoothed: r_m <- ema r_m + (1 - ema) v_m from r_m = 0, and
    r_m / (1 - ema) takes the place of v_m, so that the gradient does not depend on ema. The weight
    of the penalty is 0 before `anneal_steps` and `penalty_weight` from there on, when the
    optimizer's moments are forgotten. Rame et al., "Fishr: Invariant Gradient Variances for
    Out-of-Distribution Generalization", ICML 2022; as in DomainBed.

    Args:
        penalty_weight: lambda. Default 1000.
        ema: 0 <= ema < 1. Default 0.95.
        anneal_steps: steps before the penalty counts. Default 1500.
    """

    name = "fishr"
    # The variance is over all images of a domain.
    splits_over_replicas = False
    min_domains = 2
    needs_inner = True
    min_images = 2

    def __init__(
        self, penalty_weight: float = 1000.0, ema: float = 0.95, anneal_steps: int = 1500
    ) -> None:
        self.penalty_weight = penalty_weight
        self.ema = ema
        self.reset_step = self.anneal_steps = anneal_steps

    def build(self, model: keras.Model, num_domains: int) -> None:
        """See `Algorithm.build`."""
        super().build(model, num_domains)
        shape = (num_domains, self.head.input.shape[-1] + 1, self.head.output.shape[-1])
        self.running = keras.Variable(tf.zeros(shape), trainable=False, name="gradient_variances")

    @property
    def variables(self) -> list[Any]:
        """r, float32 [D, features + 1, classes]; the last row of features is the bias."""
        return [self.running]

    def loss(self, model: keras.Model, batch: Batch) -> Outcome:
        """See the class."""
        features, logits = self.run(batch)
        errors = tf.nn.softmax(logits) - tf.one_hot(batch.labels, logits.shape[-1])
        variances = gradient_variances(self.by_domain(features), self.by_domain(errors))
        running = self.ema * self.running.value + (1.0 - self.ema) * variances
        smoothed = running / (1.0 - self.ema)
        penalty = tf.reduce_mean((smoothed - tf.reduce_mean(smoothed, 0, keepdims=True)) ** 2)
        weight = tf.where(batch.step >= self.anneal_steps, self.penalty_weight, 0.0)
        loss = tf.reduce_mean(cross_entropy(batch.labels, logits)) + weight * penalty
        return Outcome(loss, logits, updates=[(self.running, tf.stop_gradient(running))])


def gradient_variances(features: tf.Tensor, errors: tf.Tensor) -> tf.Tensor:
    """Variance over images of the head's gradients, in closed form.

    The gradient of one image by the kernel is the outer product of its features f and its error
    e = softmax - onehot, and by the bias e. So E[g^2] is a product of matrices of squares, and no
    gradient of a single image is ever made (345 classes: 450 MB).

    Args:
        features: [D, n, d].
        errors: [D, n, classes].

    Returns:
        [D, d + 1, classes], the biased variance (over n); the last row is the bias.
    """
    count = tf.cast(tf.shape(features)[1], features.dtype)
    inputs = tf.concat([features, tf.ones_like(features[..., :1])], axis=-1)
    mean = tf.matmul(inputs, errors, transpose_a=True) / count
    mean_of_squares = tf.matmul(inputs**2, errors**2, transpose_a=True) / count
    return mean_of_squares - mean**2
