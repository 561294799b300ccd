"""Changes of colour as PIL and torchvision define them, on uint8 images, in TensorFlow ops.

Each takes and returns uint8 [h, w, 3]. PIL rounds to 8 bits between two operations, and so it is
here. Brightness, contrast, saturation and grey agree with PIL to the last bit or nearly so; the hue
is turned exactly, while PIL rounds hue and saturation to 8 bits on the way.
"""

import tensorflow as tf

# ITU-R 601-2 luma in 16-bit fixed point, as in PIL's convert("L").
_LUMA = (19595.0, 38470.0, 7471.0)


def luma(image: tf.Tensor) -> tf.Tensor:
    """Returns what PIL's `convert("L")` gives: float32 [h, w, 3], whole numbers, 0 to 255.

    Each of the three channels is the luma: one channel takes twice as long to compute, and to
    spread it over three takes longer still.
    """
    weights = tf.repeat(tf.constant(_LUMA, shape=[3, 1]), 3, axis=1)
    # All sums are whole numbers below 2^24, so float32 is exact, and much faster than int32.
    weighted = tf.matmul(tf.reshape(tf.cast(image, tf.float32), [-1, 3]), weights)
    return tf.reshape(tf.floor((weighted + 0x8000) / 0x10000), tf.shape(image))


def to_grey(image: tf.Tensor) -> tf.Tensor:
    """Replaces each of the three channels by the luma."""
    return tf.cast(luma(image), tf.uint8)


def blend(start: tf.Tensor, image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Returns start + factor * (image - start), clipped and cut to uint8, as `PIL.Image.blend`.

    Args:
        start: what factor 0 gives; any numeric type, broadcast against `image`.
        image: uint8 [h, w, 3], what factor 1 gives.
        factor: float32 scalar, at least 0.
    """
    start = tf.cast(start, tf.float32)
    blended = start + factor * (tf.cast(image, tf.float32) - start)
    return tf.cast(tf.clip_by_value(blended, 0.0, 255.0), tf.uint8)


def adjust_brightness(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blends with black: factor 0 is black, 1 changes nothing."""
    return blend(0, image, factor)


def adjust_contrast(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blends with a plain grey of the image's mean luma: factor 0 is that grey."""
    # Sums of rows are exact in float32, their sum is in float64, as PIL's is.
    rows = tf.reduce_sum(luma(image), axis=[1, 2])
    mean = tf.reduce_sum(tf.cast(rows, tf.float64)) / tf.cast(tf.size(image), tf.float64)
    return blend(tf.floor(mean + 0.5), image, factor)


def adjust_saturation(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blends with the grey image: factor 0 is grey."""
    return blend(luma(image), image, factor)


def adjust_hue(image: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """Turns the hue of every pixel.

    Args:
        image: uint8 [h, w, 3].
        shift: float32 scalar, in turns of the hue circle, -1 to 1; 1/3 makes red green.
    """
    turned = tf.image.adjust_hue(tf.cast(image, tf.float32), shift)
    return tf.cast(tf.clip_by_value(tf.round(turned), 0.0, 255.0), tf.uint8)
