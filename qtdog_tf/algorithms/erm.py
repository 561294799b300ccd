"""ERM: empirical risk minimization, the plain mean of the loss over all images."""

import keras

from qtdog_tf.algorithms.base import Algorithm, Batch
from qtdog_tf.algorithms.passes import Outcome


class ERM(Algorithm):
    """The compiled loss over the whole batch, whatever the domains; what Keras' `fit` does.

    Vapnik, "Statistical Learning Theory", 1998; the baseline of DomainBed.
    """

    name = "erm"
    # A mean over images; so are "mixup" and "distill".
    splits_over_replicas = True

    def loss(self, model: keras.Model, batch: Batch) -> Outcome:
        """The compiled loss of the model, with the losses of its layers."""
        logits = model(batch.images, training=True)
        loss = model.compute_loss(
            x=batch.images,
            y=batch.labels,
            y_pred=logits,
            sample_weight=batch.sample_weight,
            training=True,
        )
        return Outcome(loss, logits)
