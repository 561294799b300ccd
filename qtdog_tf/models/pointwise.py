"""1x1 convolution that trains as the matrix product that it is.

On CPUs TensorFlow's matrix product is faster than its convolution with a 1x1 kernel, most of all
in the gradient of the kernel: a training step of EfficientNet-Lite0, which is full of them, takes
about 15 % less time. ResNet-50, with larger matrices, gains nothing.

Start with `FastConv2D`.
"""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="qtdog_tf")
class FastConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D`, computed as a matrix product in training on CPUs where it is one.

    Arguments, weights, outputs and gradients are those of the base class, up to rounding. For
    inference and export it is the base class, whose operation can be fused with what follows.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Convolves.

        Args:
            inputs: float tensor [N, H, W, C] (in the default data format).
            training: whether gradients will be wanted.

        Returns:
            A tensor [N, H', W', filters].
        """
        if not training or not self._is_matrix_product(inputs.shape):
            return super().call(inputs)
        kernel = tf.convert_to_tensor(self.kernel)[0, 0]
        outputs = tf.matmul(tf.reshape(inputs, [-1, inputs.shape[-1]]), kernel)
        outputs = tf.reshape(outputs, [-1, *inputs.shape[1:3], self.filters])
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, tf.convert_to_tensor(self.bias))
        return self.activation(outputs)

    def _is_matrix_product(self, shape: tf.TensorShape) -> bool:
        return (
            self.kernel_size == (1, 1)
            and self.strides == (1, 1)
            and self.groups == 1
            and self.data_format == "channels_last"
            and None not in tuple(shape[1:])
            and not tf.config.list_physical_devices("GPU")
        )
