"""A network of a few thousand weights that has one of everything: for tests and for learning.

It has the parts that quantization and export must deal with (stem, depthwise convolution, residual
sum, linear bottleneck), and traces in a second.

Start with `tiny`.
"""

import keras

from qtdog_tf.models import batch_norm as bn
from qtdog_tf.models.depthwise import FastDepthwiseConv2D
from qtdog_tf.models.pointwise import FastConv2D


def tiny(image_size: int, *, freeze_batch_norm: bool = True) -> keras.Model:
    """Builds the network without its classifier, with random weights.

    Args:
        image_size: height and width of the input in pixels.
        freeze_batch_norm: whether the batch norm statistics stay fixed in training.

    Returns:
        A flat functional model from 'image' (raw pixels 0..255, float32 [S, S, 3]) to pooled
        features [16].
    """

    def norm(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        return bn.batch_norm(frozen=freeze_batch_norm, epsilon=1e-3, momentum=0.9, name=name)(x)

    def relu(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        return keras.layers.ReLU(6, name=name)(x)

    layers = keras.layers
    image = keras.Input((image_size, image_size, 3), name="image")
    x = layers.Rescaling(1 / 128, -127 / 128, name="normalize")(image)
    x = FastConv2D(8, 3, 2, "same", use_bias=False, name="stem_conv")(x)
    x = stem = relu(norm(x, "stem_bn"), "stem_relu")
    x = FastDepthwiseConv2D(3, 1, "same", use_bias=False, name="block_depthwise")(x)
    x = relu(norm(x, "block_depthwise_bn"), "block_depthwise_relu")
    x = FastConv2D(8, 1, use_bias=False, name="block_project_conv")(x)
    x = norm(x, "block_project_bn")
    x = layers.Add(name="block_add")([stem, x])
    x = FastConv2D(16, 1, use_bias=False, name="top_conv")(x)
    x = relu(norm(x, "top_bn"), "top_relu")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, x, name="tiny")
