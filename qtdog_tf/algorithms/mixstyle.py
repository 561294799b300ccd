"""MixStyle: a layer that blends the style of images, the statistics of their feature maps.

Start from `insert_mixstyle`. Trained with ERM's loss; there is no other change.
"""

from typing import Any

import keras
import tensorflow as tf

from qtdog_tf.algorithms.erm import ERM
from qtdog_tf.algorithms.randomness import derived, permutation, symmetric_beta, uniform

EPSILON = 1e-6


class MixStyleERM(ERM):
    """ERM's loss, for a model with `MixStyle` layers.

    Args:
        domain_labels: whether they look at domains. Default false.
    """

    name = "mixstyle"
    # The style may come from any image of the batch.
    splits_over_replicas = False

    def __init__(self, domain_labels: bool = False) -> None:
        if domain_labels:
            self.min_domains = 2


@keras.saving.register_keras_serializable("qtdog_tf")
class MixStyle(keras.layers.Layer):
    """(x - mu) / sigma * (a sigma + (1 - a) sigma') + a mu + (1 - a) mu', in training only.

    mu and sigma = sqrt(var + 1e-6) (var over H W - 1) are the statistics of each channel over the
    positions of an image, constants to the gradient; ' are those of another image, and
    a ~ Beta(alpha, alpha) is drawn for each image. The identity in inference. Zhou et al., "Domain
    Generalization with MixStyle", ICLR 2021.

    Args:
        probability: of mixing, for a whole batch. Default 0.5.
        alpha: above 0. Default 0.1.
        domains: 1 (default): the other image is any in the batch. More: so many domains stand in
            the batch one after the other, equally many images of each, and the other image is one
            of the next domain in a cycle drawn at random; of two domains, of the other half.
        seed: of the random numbers; an integer.
        **kwargs: of `keras.layers.Layer`.

    Input and output: float [batch, height, width, channels].
    """

    def __init__(
        self,
        probability: float = 0.5,
        alpha: float = 0.1,
        domains: int = 1,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.probability = probability
        self.alpha = alpha
        self.domains = domains
        self.seed = seed
        # Its state is a variable of the model, and so in checkpoints.
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Mixes styles in training."""
        if not training:
            return inputs
        seed = tf.cast(self.seed_generator.next(), tf.int64)
        active = uniform([], derived(seed, 0)) < self.probability
        return tf.cond(active, lambda: self._mix(inputs, derived(seed, 1)), lambda: inputs)

    def _mix(self, inputs: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        size = tf.shape(inputs)[0]
        share = symmetric_beta(self.alpha, [size], derived(seed, 0))[:, None, None, None]
        partners = self._partners(size, derived(seed, 1))
        return tf.cast(mix(tf.cast(inputs, tf.float32), share, partners), inputs.dtype)

    def _partners(self, size: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        if self.domains == 1:
            return permutation(size, seed)
        count = size // self.domains
        cycle = permutation(self.domains, derived(seed, 0))
        following = tf.gather(tf.roll(cycle, -1, axis=0), tf.argsort(cycle))
        within = tf.argsort(uniform([self.domains, count], derived(seed, 1)))
        return tf.reshape(following[:, None] * count + within, [-1])

    def compute_output_shape(self, input_shape: Any) -> Any:
        """That of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "probability": self.probability,
            "alpha": self.alpha,
            "domains": self.domains,
            "seed": self.seed,
        }


def mix(inputs: tf.Tensor, share: tf.Tensor, partners: tf.Tensor) -> tf.Tensor:
    """The formula of `MixStyle`.

    Args:
        inputs: float32 [B, H, W, C].
        share: a, float32 [B, 1, 1, 1].
        partners: the number of the other image, int32 [B].
    """
    count = tf.cast(tf.shape(inputs)[1] * tf.shape(inputs)[2], tf.float32)
    mean, variance = tf.nn.moments(tf.stop_gradient(inputs), axes=(1, 2), keepdims=True)
    sigma = tf.sqrt(variance * count / (count - 1.0) + EPSILON)
    new_sigma = share * sigma + (1.0 - share) * tf.gather(sigma, partners)
    new_mean = share * mean + (1.0 - share) * tf.gather(mean, partners)
    return (inputs - mean) / sigma * new_sigma + new_mean
