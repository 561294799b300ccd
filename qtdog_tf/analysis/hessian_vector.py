"""Products of the loss's Hessian H with vectors, without ever holding H.

The loss is the mean cross-entropy over images, each of which counts the same. The product is the
derivative of the gradient in a direction: H v = d/de g(w + e v) at e = 0 (Pearlmutter, "Fast exact
multiplication by the Hessian", 1994). Start from `HessianVector`.

A ReLU has no curvature where it has a slope, and at its kink none that differentiation sees. So for
a network with ReLUs this is the Hessian between the kinks; the loss over a finite distance also
bends where units change sides.
"""

import dataclasses
import math
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from qtdog_tf.analysis.loss import cross_entropy
from qtdog_tf.analysis.samples import Sample
from qtdog_tf.errors import UserError

# Images at once. A product keeps about three times the activations of a forward pass.
BATCH_SIZE = 128


class HessianVector:
    """Multiplies vectors by the Hessian of the mean loss over some images, at the present weights.

    The model is traced once: weights may be assigned between calls, but the quantization mode must
    not change any more. A quantizer's straight-through gradient has no meaningful derivative, so
    quantization has to be off.

    Args:
        model: from pixels to logits [n, classes].
        variables: the weights that the Hessian is over, in the order of a vector's parts.
        sample: the images, at least one; see `pooled`.
        batch_size: images at once. Default 128.

    Raises:
        ValueError: if there is no image.

    Attributes:
        size: length of the vectors, the number of weights.

    Example:

        product = HessianVector(model, learned_weights(model), pooled(samples))
        slope, curvature = product.along(step)
        rise = slope + curvature / 2  # of the loss from w to w + step, to second order
    """

    def __init__(
        self,
        model: keras.Model,
        variables: Sequence[keras.Variable],
        sample: Sample,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        self._images = len(sample.labels)
        if not self._images:
            raise ValueError("a Hessian needs images, received none")
        shapes = [tuple(variable.shape) for variable in variables]
        sizes = [math.prod(shape) for shape in shapes]
        values = [variable.value for variable in variables]
        labels = sample.labels.astype(np.int32)
        self.size = sum(sizes)
        batches = [slice(i, i + batch_size) for i in range(0, self._images, batch_size)]
        self._batches = [(tf.constant(sample.pixels[b]), tf.constant(labels[b])) for b in batches]

        def product(pixels: tf.Tensor, labels: tf.Tensor, vector: tf.Tensor) -> tuple:
            parts = zip(tf.split(vector, sizes), shapes, strict=True)
            tangents = [tf.reshape(part, shape) for part, shape in parts]
            # Forward over reverse. A second GradientTape around the first gives the same to 2e-7
            # (ReLU6, depthwise convolutions, fused BatchNorm and max pooling included), but took
            # 8 to 15 % longer on EfficientNet-Lite0 at 64 px and hands back no slope.
            with tf.autodiff.ForwardAccumulator(values, tangents) as accumulator:
                with tf.GradientTape(watch_accessed_variables=False) as tape:
                    tape.watch(values)  # also what a freezing mode took from those that learn
                    loss = cross_entropy(model, pixels, labels)
                gradient = tape.gradient(loss, values, unconnected_gradients="zero")
            products = [accumulator.jvp(part, unconnected_gradients="zero") for part in gradient]
            slope = accumulator.jvp(loss, unconnected_gradients="zero")
            return tf.concat([tf.reshape(part, [-1]) for part in products], 0), slope

        # Without a batch size, or the last batch would be traced too.
        signature = [
            tf.TensorSpec([None, *sample.pixels.shape[1:]], sample.pixels.dtype),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([self.size], tf.float32),
        ]
        self._product = tf.function(product, input_signature=signature)

    def __call__(self, vector: np.ndarray) -> np.ndarray:
        """The product H v.

        Args:
            vector: float [size]; multiplied in float32.

        Returns:
            float64 [size]; batches are added in float64.

        Raises:
            UserError: if the product is not finite.
        """
        return self._sums(vector)[0]

    def along(self, vector: np.ndarray) -> tuple[float, float]:
        """Slope g.v and curvature v.H v of the loss along a vector v; see `__call__`.

        The loss rises by slope + curvature / 2 from w to w + v, to second order.
        """
        product, slope = self._sums(vector)
        return slope, float(np.asarray(vector, np.float64) @ product)

    def _sums(self, vector: np.ndarray) -> tuple[np.ndarray, float]:
        tensor = tf.constant(vector, tf.float32)
        product, slope = np.zeros(self.size), 0.0
        for pixels, labels in self._batches:
            of_batch, slope_of_batch = self._product(pixels, labels, tensor)
            product += of_batch.numpy()
            slope += float(slope_of_batch)
        if not np.isfinite(product).all():
            raise UserError(
                "the curvature of the loss is not finite, so the weights of this model have "
                "diverged: analyse another model of the run"
            )
        return product / self._images, slope / self._images


def pooled(samples: Sequence[Sample]) -> Sample:
    """The images of several samples as one sample, in which each image counts the same.

    Args:
        samples: one or more of one role and part.

    Returns:
        A sample whose domain is named after all of them, joined by "+".
    """
    return dataclasses.replace(
        samples[0],
        domain="+".join(sample.domain for sample in samples),
        paths=tuple(path for sample in samples for path in sample.paths),
        pixels=np.concatenate([sample.pixels for sample in samples]),
        labels=np.concatenate([sample.labels for sample in samples]),
    )
