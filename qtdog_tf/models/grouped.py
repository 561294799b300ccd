"""Grouped convolution that can be trained on CPUs.

Keras hands a convolution in groups to XLA, whose gradients take half a minute a layer on a CPU:
3x3 in 32 groups, 128 channels, 8 images of 56 x 56 px, on two cores, 35 s a step. TensorFlow's own
operation takes 0.04 s. It has gradients wherever oneDNN computes them, and on GPUs.

Start with `FastGroupedConv2D`.
"""

import functools

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="qtdog_tf")
class FastGroupedConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D` with `groups`, computed by TensorFlow's own operation where it can.

    Arguments, weights, outputs and gradients are those of the base class, up to rounding.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Convolves each group of channels with filters of its own.

        Args:
            inputs: float tensor [N, H, W, C] (in the default data format).

        Returns:
            A tensor [N, H', W', filters].
        """
        if self.data_format != "channels_last" or not _has_gradients(self.compute_dtype):
            return super().call(inputs)
        kernel = tf.convert_to_tensor(self.kernel)
        outputs = tf.nn.conv2d(
            inputs, kernel, self.strides, self.padding.upper(), dilations=self.dilation_rate
        )
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, tf.convert_to_tensor(self.bias))
        return self.activation(outputs)


@functools.cache
def _has_gradients(dtype: str) -> bool:
    """Whether TensorFlow's own grouped convolution has gradients on this machine.

    Found out by computing one: it depends on the build and on TF_ENABLE_ONEDNN_OPTS.
    """
    try:
        with tf.init_scope():
            upstream, kernel = tf.ones([1, 2, 2, 4], dtype), tf.ones([3, 3, 2, 4], dtype)
            tf.raw_ops.Conv2DBackpropInput(
                input_sizes=[1, 4, 4, 4],
                filter=kernel,
                out_backprop=upstream,
                strides=[1, 1, 1, 1],
                padding="VALID",
            )
    except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
        return False
    return True
