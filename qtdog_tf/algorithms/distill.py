"""Distillation: a student learns to say what a teacher says, an ensemble for example.

One quantized model so carries what several know together, in a file of one and at the cost of one.
"""

import keras
import tensorflow as tf

from qtdog_tf.algorithms.base import Algorithm, Batch, cross_entropy
from qtdog_tf.algorithms.passes import Outcome


class Distill(Algorithm):
    """loss = a T^2 KL(softmax(t / T) || softmax(z / T)) + (1 - a) CE(z, y), means over images.

    z are the logits of the student, t those of the teacher on the same augmented images. T^2 keeps
    the size of the gradient when T changes. Hinton, Vinyals and Dean, "Distilling the Knowledge in
    a Neural Network", arXiv:1503.02531.

    The teacher is run in inference mode, is no part of the model that is trained, and gets no
    gradient: its weights, statistics and seeds stay as they are.

    Args:
        teacher: from the student's images to logits of the same classes; shared with nobody who
            trains it, since its `trainable` is set to False.
        temperature: T, above 0. Default 2.
        soft_weight: a, from 0 to 1. Default 1: the labels are not looked at.
        start: the step from which the teacher is asked; before, loss = CE(z, y). Default 0.
    """

    name = "distill"
    splits_over_replicas = True

    def __init__(
        self,
        teacher: keras.Model,
        temperature: float = 2.0,
        soft_weight: float = 1.0,
        start: int = 0,
    ) -> None:
        self.teacher = teacher
        self.teacher.trainable = False
        self.temperature = temperature
        self.soft_weight = soft_weight
        self.start = start

    def loss(self, model: keras.Model, batch: Batch) -> Outcome:
        """See the class."""
        logits = tf.cast(model(batch.images, training=True), tf.float32)

        def hard() -> tf.Tensor:
            return tf.reduce_mean(cross_entropy(batch.labels, logits))

        def mixed() -> tf.Tensor:
            wanted = tf.stop_gradient(self.teacher(batch.images, training=False))
            soft = soft_loss(wanted, logits, self.temperature)
            return self.soft_weight * soft + (1.0 - self.soft_weight) * hard()

        # No branch where there is no choice.
        loss = tf.cond(batch.step < self.start, hard, mixed) if self.start else mixed()
        # Keras sums the gradients of replicas; the compiled loss has this in it.
        return Outcome(loss / tf.distribute.get_strategy().num_replicas_in_sync, logits)


def soft_loss(wanted: tf.Tensor, logits: tf.Tensor, temperature: float) -> tf.Tensor:
    """T^2 KL(softmax(wanted / T) || softmax(logits / T)), mean over images: float32 scalar.

    Args:
        wanted: logits of the teacher, float [B, classes].
        logits: of the student, float [B, classes].
        temperature: T.
    """
    target = tf.nn.log_softmax(tf.cast(wanted, tf.float32) / temperature)
    found = tf.nn.log_softmax(tf.cast(logits, tf.float32) / temperature)
    divergence = tf.reduce_sum(tf.exp(target) * (target - found), axis=1)
    return temperature**2 * tf.reduce_mean(divergence)
