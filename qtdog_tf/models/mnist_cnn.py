"""DomainBed's network for the 28-pixel images of RotatedMNIST and ColoredMNIST.

Four 3x3 convolutions, each with ReLU and then GroupNorm (not the other way round), and a global
average (method, section 6.1). Other than DomainBed's it takes three channels, also of grey images.
Grey ones have three equal channels, of which a first kernel sees the sum; its start has the same
variance as that of DomainBed's kernel on one channel.

Start with `mnist_cnn`.
"""

import math

import keras

from qtdog_tf.models.group_norm import FastGroupNormalization

# Of each convolution: output channels, stride.
CONVOLUTIONS = ((64, 1), (128, 2), (128, 1), (128, 1))
GROUPS = 8
EPSILON = 1e-5


def mnist_cnn(image_size: int, *, divisor: int = 1, name: str = "mnist_cnn") -> keras.Model:
    """Builds the network without its classifier, with random weights as torch starts them.

    Args:
        image_size: height and width of the input in pixels; 28 in DomainBed.
        divisor: of the numbers of channels, 1, 2, 4 or 8.
        name: of the model.

    Returns:
        A flat functional model from 'image' (raw pixels 0..255, float32 [S, S, 3]) to pooled
        features [128 / divisor].
    """
    x = image = keras.Input((image_size, image_size, 3), name="image")
    x = keras.layers.Rescaling(1 / 255, name="normalize")(x)
    for number, (filters, strides) in enumerate(CONVOLUTIONS, start=1):
        x = block(x, filters // divisor, strides, str(number))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, x, name=name)


def block(x: keras.KerasTensor, filters: int, strides: int, number: str) -> keras.KerasTensor:
    """Convolution with a margin of one zero on every side, ReLU, GroupNorm.

    Args:
        x: float [n, H, W, C].
        filters: number of output channels, a multiple of 8.
        strides: 1 or 2.
        number: in the names of the layers, "conv1" for example.

    Returns:
        float [n, ceil(H / strides), ceil(W / strides), filters].
    """
    if strides > 1:
        # Keras' "same" would pad more at the end than at the beginning, torch pads both alike.
        x = keras.layers.ZeroPadding2D(1, name=f"conv{number}_pad")(x)
    limit = 1 / math.sqrt(9 * x.shape[-1])
    conv = keras.layers.Conv2D(
        filters,
        3,
        strides,
        padding="valid" if strides > 1 else "same",
        kernel_initializer=keras.initializers.RandomUniform(-limit, limit),
        bias_initializer=keras.initializers.RandomUniform(-limit, limit),
        name=f"conv{number}",
    )
    x = keras.layers.ReLU(name=f"relu{number}")(conv(x))
    return FastGroupNormalization(GROUPS, epsilon=EPSILON, name=f"norm{number}")(x)
