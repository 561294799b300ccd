"""The Keras model that is trained by an algorithm: `AlgorithmModel`."""

from typing import Any

import keras
import tensorflow as tf

from qtdog_tf.algorithms.base import Algorithm, Batch
from qtdog_tf.algorithms.replicas import check_algorithm, check_layers
from qtdog_tf.errors import UserError


class AlgorithmModel(keras.Model):
    """A functional model whose `fit` trains by an `Algorithm`; everything else is as usual.

    It shares the layers of the model whose inputs and outputs it gets, and its variables stand in
    the same order. Batches are (images, labels), or ({"image": images, "domain": number of the
    domain, int32 [D * n]}, labels) with n images of each domain, domain by domain.

    A loss that is not finite stops `fit` with `tf.errors.InvalidArgumentError`; weights, optimizer
    and averages are then exactly those of before the step.

    Args:
        inputs: of a functional model that is built; one image input.
        outputs: of it: logits.
        algorithm: an `Algorithm` that no other model has. The attribute `algorithm`.
        num_domains: number of source domains in each batch. Default 1.
        name: of the model.

    Raises:
        UserError: if the algorithm does not fit the model or the domains; or if it, or a layer,
            does not split over the replicas of a distribution strategy.

    Example:
        model = AlgorithmModel(model.inputs, model.outputs, algorithm=CORAL(), num_domains=3)
        model.compile(QuantizationOptimizer(), loss=...)
    """

    def __init__(
        self,
        inputs: Any,
        outputs: Any,
        *,
        algorithm: Algorithm,
        num_domains: int = 1,
        name: str | None = None,
    ) -> None:
        # `model.inputs` is a list; a model of lists would return lists.
        super().__init__(_single(inputs), _single(outputs), name=name)
        replicas = self.distribute_strategy.num_replicas_in_sync
        check_algorithm(algorithm, replicas)
        check_layers(self, replicas)
        self.algorithm = algorithm
        algorithm.build(self, num_domains)

    def call(
        self, inputs: Any, training: bool | None = None, mask: Any = None, **kwargs: Any
    ) -> Any:
        """Logits, of images or of the images of a batch with domains."""
        # Keras looks for `training` in this signature.
        return super().call(_images_of(inputs), training=training, mask=mask, **kwargs)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """That of `keras.Model`; the algorithm gets to see the optimizer."""
        super().compile(*args, **kwargs)
        self.algorithm.connect(self.optimizer)

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step of the algorithm; logs "loss" and the compiled metrics."""
        inputs, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        images = self._images(inputs)
        batch = Batch(images, labels, self.optimizer.iterations.value, sample_weight)
        outcome = self.algorithm.step(self, batch)
        if outcome.labels is not None:
            labels = outcome.labels
        loss = outcome.loss
        with tf.control_dependencies([loss]):
            replicas = self.distribute_strategy.num_replicas_in_sync
            # Keras divides the loss by the replicas, since their gradients are summed.
            whole = loss * replicas if replicas > 1 else loss
            self._loss_tracker.update_state(whole, sample_weight=tf.shape(images)[0])
            return self.compute_metrics(images, labels, outcome.logits, sample_weight)

    def _images(self, inputs: Any) -> tf.Tensor:
        """The images of a batch, after a look at its domains where they matter."""
        images = _images_of(inputs)
        domains = self.algorithm.num_domains
        if images.shape[0] is not None:
            self._check_size(images.shape[0])
        if self.algorithm.min_domains == 1:
            return images
        checks = [tf.debugging.assert_equal(tf.shape(images)[0] % domains, 0, _UNEQUAL)]
        if isinstance(inputs, dict):
            expected = tf.repeat(tf.range(domains), tf.shape(images)[0] // domains)
            checks.append(tf.debugging.assert_equal(inputs["domain"], expected, _UNORDERED))
        with tf.control_dependencies([check for check in checks if check is not None]):
            return tf.identity(images)

    def _check_size(self, size: int) -> None:
        algorithm = self.algorithm
        if size < algorithm.num_domains * algorithm.min_images:
            raise UserError(
                f"algorithm {algorithm.name} needs at least {algorithm.min_images} images of each "
                f"of {algorithm.num_domains} domains in a batch; received {size} in all"
            )

    def get_config(self) -> dict[str, Any]:
        """Refuses: an algorithm and its state have no place in a model file.

        Raises:
            UserError: always.
        """
        raise UserError(
            "save keras.Model(model.inputs, model.outputs), the model without its algorithm"
        )


def _images_of(inputs: Any) -> Any:
    return inputs["image"] if isinstance(inputs, dict) else inputs


def _single(tensors: Any) -> Any:
    return tensors[0] if isinstance(tensors, list) and len(tensors) == 1 else tensors


_UNEQUAL = "the batch does not have the same number of images of each domain"
_UNORDERED = "the images of a batch must stand domain by domain, equally many of each"
