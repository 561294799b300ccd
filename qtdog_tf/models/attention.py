"""The two parts of a vision transformer that Keras has no plain layer for.

Neither has a kernel: all matrices of a block are Dense layers of the model around it, where
`quantize` reaches them.

Start with `SelfAttention`.
"""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="qtdog_tf")
class SelfAttention(keras.layers.Layer):
    """softmax(q k^T / sqrt(d)) v in each head, of queries, keys and values that stand side by side.

    Vaswani et al., "Attention Is All You Need", 2017, equation 1. The projections before and behind
    it are layers of their own.

    Args:
        heads: number of heads; each has d = width / heads channels.
        **kwargs: of `keras.layers.Layer`.

    Input: float [batch, tokens, 3 * width], all of q, then k, then v, each head by head.
    Output: float [batch, tokens, width], head by head.
    """

    def __init__(self, heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads = heads
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Lets every token look at every token."""
        tokens, width = inputs.shape[1], inputs.shape[2] // 3
        depth = width // self.heads
        parts = tf.reshape(inputs, [-1, tokens, 3, self.heads, depth])
        queries, keys, values = tf.unstack(tf.transpose(parts, [2, 0, 3, 1, 4]))
        weights = tf.nn.softmax(tf.matmul(queries * depth**-0.5, keys, transpose_b=True))
        outputs = tf.transpose(tf.matmul(weights, values), [0, 2, 1, 3])
        return tf.reshape(outputs, [-1, tokens, width])

    def compute_output_shape(self, input_shape: Any) -> Any:
        """A third of the input's channels."""
        return (*input_shape[:-1], input_shape[-1] // 3)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "heads": self.heads}


@keras.saving.register_keras_serializable(package="qtdog_tf")
class ClassToken(keras.layers.Layer):
    """Puts a learned token before the others, and adds a learned position to each.

    Weights: `token` [width], `positions` [1 + tokens, width]; both start as normal noise of
    deviation 0.02 (DeiT).

    Input: float [batch, tokens, width]. Output: float [batch, 1 + tokens, width].
    """

    def build(self, input_shape: Any) -> None:
        """Creates the token and the positions."""
        tokens, width = input_shape[1:]
        noise = keras.initializers.TruncatedNormal(stddev=0.02)
        self.token = self.add_weight(name="token", shape=(width,), initializer=noise)
        noise = keras.initializers.TruncatedNormal(stddev=0.02)
        self.positions = self.add_weight(
            name="positions", shape=(1 + tokens, width), initializer=noise
        )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Adds the token and the positions."""
        token = tf.zeros_like(inputs[:, :1]) + tf.convert_to_tensor(self.token)
        return tf.concat([token, inputs], axis=1) + tf.convert_to_tensor(self.positions)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """One token more."""
        batch, tokens, width = input_shape
        return (batch, tokens + 1, width)
