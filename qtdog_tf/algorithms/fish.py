"""Fish: the gradients of the domains should point the same way."""

import keras
import tensorflow as tf

from qtdog_tf.algorithms.base import Algorithm, Batch, cross_entropy
from qtdog_tf.algorithms.optimizer_state import refuse_loss_scaling
from qtdog_tf.algorithms.passes import Outcome, all_or_nothing, forward_state, read, write


class Fish(Algorithm):
    """w <- w + meta_lr (w' - w), where w' is w after one update on each domain in turn.

    The inner updates are those of the model's optimizer, whose moments go on from step to step;
    one step counts once. Step sizes move in the same way, and stay positive between two positive
    values; so do statistics of batch normalization that learn, as DomainBed moves all that its
    network holds. Dropout masks are the same in all passes of a step. A schedule of the
    learning rate counts inner updates. Shi et al., "Gradient Matching for Domain Generalization",
    ICLR 2022; as in DomainBed.

    Args:
        meta_lr: above 0, at most 1. Default 0.5.
    """

    name = "fish"
    # Weights are set in the middle of a step, from gradients over all images of a domain.
    splits_over_replicas = False
    min_domains = 2
    needs_inner = True

    def __init__(self, meta_lr: float = 0.5) -> None:
        self.meta_lr = meta_lr

    def connect(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Refuses loss scaling, see `refuse_loss_scaling`."""
        super().connect(optimizer)
        refuse_loss_scaling(optimizer, self.name)

    def step(self, model: keras.Model, batch: Batch) -> Outcome:
        """See the class and `Algorithm.step`. The loss is the mean of the inner losses."""
        optimizer = model.optimizer
        weights = model.trainable_variables
        inner = [*optimizer.optimizer.variables, *optimizer.step_size_optimizer.variables]
        layers = forward_state(model)
        statistics = [v for v in layers if keras.backend.is_float_dtype(v.dtype)]
        seeds = [v for v in layers if not keras.backend.is_float_dtype(v.dtype)]
        moving = [*weights, *statistics]
        changing = [*moving, *inner, *seeds]
        before = read(changing)
        drawn = read(seeds)
        images, labels = self.by_domain(batch.images), self.by_domain(batch.labels)
        losses, logits, quantized = [], [], False
        for domain in range(self.num_domains):
            write(seeds, drawn)
            with tf.GradientTape() as tape:
                logits.append(model(images[domain], training=True))
                losses.append(tf.reduce_mean(cross_entropy(labels[domain], logits[-1])))
            quantized = optimizer.update_variables(tape.gradient(losses[-1], weights), weights)
        start = before[: len(moving)]
        end = read(moving)
        write(moving, [w + self.meta_lr * (v - w) for w, v in zip(start, end, strict=True)])
        checked = all_or_nothing(changing, before, losses)
        with tf.control_dependencies([checked]):
            optimizer.finish_step(quantized=quantized)
        return Outcome(tf.reduce_mean(checked), tf.concat(logits, axis=0))
