"""MLDG: a step on some domains should help on others."""

from typing import Any

import keras
import tensorflow as tf

from qtdog_tf.algorithms.base import Algorithm, Batch, cross_entropy
from qtdog_tf.algorithms.optimizer_state import loss_scale, unscaled
from qtdog_tf.algorithms.passes import Outcome, Pass, backpropagate
from qtdog_tf.algorithms.randomness import permutation, step_seed
from qtdog_tf.errors import UserError


class MLDG(Algorithm):
    """The gradient is sum over pairs (i, j) of (G_i(w) + beta G_j(w_i)) / D, to first order.

    Domains are shuffled and the last `test_domains` of them held out; each other domain i is
    paired with one of these, j, in turn. G_i is the gradient of domain i's mean cross-entropy, and
    w_i are the weights after one first step of Adam on it, w - lr G_i / (|G_i| + epsilon), step
    sizes with their own learning rate. Dropout masks are the same in all passes of a step. Li et
    al., "Learning to Generalize: Meta-Learning for Domain Generalization", AAAI 2018; the
    first-order form of DomainBed.

    Args:
        beta: weight of the held out domains. Default 1.
        test_domains: how many are held out. Default 2.
        seed: of the shuffling. Default 0.
    """

    name = "mldg"
    # Adam's first step, g / |g|, is that of the gradient over all images of a domain.
    splits_over_replicas = False
    min_domains = 2
    needs_inner = True

    def __init__(self, beta: float = 1.0, test_domains: int = 2, seed: int = 0) -> None:
        self.beta = beta
        self.test_domains = test_domains
        self.seed = seed

    def build(self, model: keras.Model, num_domains: int) -> None:
        """See `Algorithm.build`; at least one domain has to remain for training."""
        super().build(model, num_domains)
        if num_domains <= self.test_domains:
            raise UserError(
                f"algorithm mldg holds out {self.test_domains} of {num_domains} source domains, "
                "which leaves none: lower mldg_test_domains"
            )

    def connect(self, optimizer: keras.optimizers.Optimizer) -> None:
        """See `Algorithm.connect`; it takes a step of Adam by itself, with the epsilon of these."""
        super().connect(optimizer)
        outer = unscaled(optimizer)
        for inner in (outer.optimizer, outer.step_size_optimizer):
            if not hasattr(inner, "epsilon"):
                raise UserError(
                    f"algorithm mldg takes steps of Adam and received {type(inner).__name__}: put "
                    "an Adam into the QuantizationOptimizer"
                )

    def draw(self, step: tf.Tensor) -> tf.Tensor:
        """The domains in random order, int32 [D]."""
        return permutation(self.num_domains, step_seed(self.seed, step))

    def gradients(self, model: keras.Model, batch: Batch) -> Pass:
        """See the class. The loss is (sum of both losses over the pairs) / D."""
        order = self.draw(batch.step)
        images, labels = self.by_domain(batch.images), self.by_domain(batch.labels)
        pairs = self.num_domains - self.test_domains
        totals: list[Any] = [None] * len(model.trainable_variables)
        trained, losses = [], []
        for pair in range(pairs):
            held_out = order[pairs + pair % self.test_domains]
            first = _domain_pass(model, images[order[pair]], labels[order[pair]])
            with tf.control_dependencies([first.outcome.loss]):
                places = adam_step(model, first.gradients)
            second = _domain_pass(model, images[held_out], labels[held_out], places)
            losses.append(first.outcome.loss + self.beta * second.outcome.loss)
            trained.append(first)
            for index, (g, h) in enumerate(zip(first.gradients, second.gradients, strict=True)):
                if g is not None:
                    share = (g + self.beta * h) / self.num_domains
                    totals[index] = share if totals[index] is None else totals[index] + share
        outcome = Outcome(
            tf.add_n(losses) / self.num_domains,
            tf.concat([one.outcome.logits for one in trained], axis=0),
            labels=tf.reshape(tf.gather(labels, order[:pairs]), [-1]),
        )
        return Pass(outcome, totals, trained[0].layer_values)


def _domain_pass(
    model: keras.Model, images: tf.Tensor, labels: tf.Tensor, places: Any = ()
) -> Pass:
    def compute() -> Outcome:
        logits = model(images, training=True)
        return Outcome(tf.reduce_mean(cross_entropy(labels, logits)), logits)

    return backpropagate(model, compute, elsewhere=places)


def adam_step(model: keras.Model, gradients: list[Any]) -> list[tuple[Any, tf.Tensor]]:
    """(variable, value) after the first step of a new Adam: v - lr g / (|g| + epsilon).

    Args:
        model: compiled with a `QuantizationOptimizer` around an Adam.
        gradients: one a trainable variable, or None; times the loss scale.
    """
    outer = unscaled(model.optimizer)
    scale = loss_scale(model.optimizer)
    weights = {v.path for v in outer.optimizer._trainable_variables}
    places = []
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        if gradient is None:
            continue
        inner = outer.optimizer if variable.path in weights else outer.step_size_optimizer
        gradient = gradient / scale + getattr(inner, "l2_penalty", 0.0) * variable
        # Where the gradient overflowed, under loss scaling, the optimizer leaves out the step.
        gradient = tf.where(tf.math.is_finite(gradient), gradient, tf.zeros_like(gradient))
        rate = tf.cast(inner._get_current_learning_rate(), gradient.dtype)
        value = variable - rate * gradient / (tf.abs(gradient) + inner.epsilon)
        places.append((variable, variable.constraint(value) if variable.constraint else value))
    return places
