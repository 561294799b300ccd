"""Depthwise convolution whose training is not held up by one slow kernel on CPUs.

TensorFlow hands depthwise convolutions on a CPU to oneDNN. For the gradient of the filter oneDNN
needs 2 to 5 times as long as TensorFlow's own kernel if the filter is larger than 3x3, or larger
than the image: in EfficientNet-Lite0 at 64 px a fifth of the whole training step. TensorFlow's own
kernel is taken where the padding is spelled out ("EXPLICIT"), which oneDNN does not support here.
Everything else stays with oneDNN, which is faster.

Start with `FastDepthwiseConv2D`.
"""

from collections.abc import Callable

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="qtdog_tf")
class FastDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D` with a faster gradient of the filter on CPUs.

    Arguments, weights, outputs and gradients are those of the base class; the gradient of the
    filter differs by rounding.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Convolves each channel with filters of its own.

        Args:
            inputs: float tensor [N, H, W, C] (in the default data format).

        Returns:
            A tensor [N, H', W', C * depth_multiplier].
        """
        if not self._speeds_up(inputs.shape):
            return super().call(inputs)
        kernel = tf.convert_to_tensor(self.kernel)
        outputs = depthwise_conv2d(inputs, kernel, self.strides[0], self.padding.upper())
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, tf.convert_to_tensor(self.bias))
        return self.activation(outputs)

    def _speeds_up(self, shape: tf.TensorShape) -> bool:
        """Whether oneDNN would be slow, as far as is known."""
        height, width = shape[1:3]
        return (
            self.data_format == "channels_last"
            and None not in (height, width)
            and max(self.kernel_size) > min(3, height, width)
            and set(self.dilation_rate) == {1}
            and not tf.config.list_physical_devices("GPU")
        )


def depthwise_conv2d(
    inputs: tf.Tensor, filters: tf.Tensor, strides: int, padding: str
) -> tf.Tensor:
    """`tf.nn.depthwise_conv2d`, with the gradient of the filter by TensorFlow's own kernel.

    Args:
        inputs: float tensor [N, H, W, C]; H and W must be known.
        filters: tensor [h, w, C, depth multiplier].
        strides: of both axes, in pixels.
        padding: "SAME" or "VALID".

    Returns:
        A tensor [N, H', W', C * depth multiplier].
    """
    steps = [1, strides, strides, 1]
    pads = [0, 0]
    for size, width in zip(inputs.shape[1:3], filters.shape[:2], strict=True):
        total = max((-(-size // strides) - 1) * strides + width - size, 0)
        pads += [total // 2, total - total // 2] if padding == "SAME" else [0, 0]
    pads += [0, 0]

    @tf.custom_gradient
    def convolve(x: tf.Tensor, w: tf.Tensor) -> tuple[tf.Tensor, Callable[..., object]]:
        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            by_input = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
                input_sizes=tf.shape(x),
                filter=w,
                out_backprop=upstream,
                strides=steps,
                padding=padding,
            )
            by_filter = tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
                input=x,
                filter_sizes=tf.shape(w),
                out_backprop=upstream,
                strides=steps,
                padding="EXPLICIT",
                explicit_paddings=pads,
            )
            return by_input, by_filter

        y = tf.raw_ops.DepthwiseConv2dNative(input=x, filter=w, strides=steps, padding=padding)
        return y, gradient

    return convolve(inputs, filters)
