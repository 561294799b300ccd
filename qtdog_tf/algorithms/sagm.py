"""SAGM: the gradient at the weights and the one near by, made to agree."""

import keras
import tensorflow as tf

from qtdog_tf.algorithms.base import Batch
from qtdog_tf.algorithms.erm import ERM
from qtdog_tf.algorithms.optimizer_state import loss_scale
from qtdog_tf.algorithms.passes import Pass, backpropagate
from qtdog_tf.algorithms.sam import ascent, both_checked, latent_gradients, second_pass


class SAGM(ERM):
    """The gradient is (g + g') / 2, with g' that of the same batch at w + (rho / |g| - alpha) g.

    Step sizes stay where they are and learn from both gradients. Both passes see the same dropout
    masks. Wang et al., "Sharpness-Aware Gradient Matching for Domain Generalization", CVPR 2023.

    Args:
        rho: length of the move against the slope. Default 0.05.
        alpha: length, in gradients, of the move back. Default 0.001.
    """

    name = "sagm"
    # The norm is that of the gradient of the whole batch.
    splits_over_replicas = False

    def __init__(self, rho: float = 0.05, alpha: float = 1e-3) -> None:
        self.rho = rho
        self.alpha = alpha

    def gradients(self, model: keras.Model, batch: Batch) -> Pass:
        """The mean of both passes' gradients with the first pass' outcome."""
        return mean_of_passes(*self.both_passes(model, batch))

    def both_passes(self, model: keras.Model, batch: Batch) -> tuple[Pass, Pass]:
        """The passes that give g and g'."""
        first = backpropagate(model, lambda: self.loss(model, batch))
        pairs = latent_gradients(model, first.gradients)
        alpha = self.alpha / loss_scale(model.optimizer)
        moves = []
        for (variable, up), (_, gradient) in zip(ascent(pairs, self.rho), pairs, strict=True):
            # A gradient that overflowed, under loss scaling, moves nothing; see `ascent`.
            down = tf.where(tf.math.is_finite(gradient), alpha * gradient, tf.zeros_like(gradient))
            moves.append((variable, up - down))
        return first, second_pass(self, model, batch, first, moves)


def mean_of_passes(first: Pass, second: Pass) -> Pass:
    """The mean of the gradients of two passes, with what else the first gave."""
    gradients = [
        None if g is None else 0.5 * (g + h)
        for g, h in zip(first.gradients, second.gradients, strict=True)
    ]
    return first._replace(gradients=gradients, outcome=both_checked(first, second))
