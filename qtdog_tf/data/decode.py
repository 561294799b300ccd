"""Decodes JPEG, PNG, GIF, BMP and WebP into RGB pixels, in TensorFlow ops.

It runs inside tf.data, so in parallel and without Python. Start from `decode_image`.
"""

from collections.abc import Callable

import tensorflow as tf

from qtdog_tf.data.exif import apply_orientation, read_orientation
from qtdog_tf.data.pixel_limit import (
    bmp_pixels,
    gif_pixels,
    jpeg_pixels,
    png_pixels,
    webp_pixels,
    with_pixel_limit,
)

_BMP_FILE_HEADER_BYTES = 14


def decode_image(contents: tf.Tensor, check_size: bool = True) -> tf.Tensor:
    """Decodes an image file into pixels that stand upright.

    JPEG: EXIF orientation is applied; CMYK is converted. PNG: 16 bits are cut to 8, palettes are
    looked up, grey becomes three equal channels. GIF: the first frame. Alpha is dropped, as PIL's
    `convert("RGB")` does.

    Args:
        contents: string scalar, the bytes of the file.
        check_size: refuse more than `MAX_PIXELS`. Without it, a file that declares them is decoded
            as far as memory reaches: for files that the data check has seen.

    Returns:
        uint8 [h, w, 3], RGB.

    Raises:
        tf.errors.InvalidArgumentError: if it is no image, truncated, of a kind that TensorFlow
            cannot decode, or declares more pixels than `MAX_PIXELS`. The message does not name the
            file, which this function does not know.
    """
    return _decode_limited(contents) if check_size else _decode(contents)


# Graphs are made once in a process. In each data set that decodes it would take a second or more.
@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def _decode_limited(contents: tf.Tensor) -> tf.Tensor:
    return _decode_by_format(contents, lambda pixels: with_pixel_limit(contents, pixels(contents)))


@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def _decode(contents: tf.Tensor) -> tf.Tensor:
    return _decode_by_format(contents, lambda _: contents)


def _decode_by_format(
    contents: tf.Tensor, limited: Callable[[Callable[[tf.Tensor], tf.Tensor]], tf.Tensor]
) -> tf.Tensor:
    """Decodes what `limited` returns for the function that reads the format's declared size."""
    start = tf.strings.substr(contents, 0, 16)
    is_jpeg = tf.strings.substr(start, 0, 3) == b"\xff\xd8\xff"
    is_gif = tf.strings.substr(start, 0, 4) == b"GIF8"
    is_bmp = tf.strings.substr(start, 0, 2) == b"BM"
    is_webp = (tf.strings.substr(start, 0, 4) == b"RIFF") & (
        tf.strings.substr(start, tf.minimum(8, tf.strings.length(start)), 4) == b"WEBP"
    )
    image = tf.case(
        [
            (is_jpeg, lambda: _decode_jpeg(limited(jpeg_pixels))),
            (is_gif, lambda: _decode_any(limited(gif_pixels))),
            (is_bmp, lambda: _decode_bmp(limited(bmp_pixels))),
            (is_webp, lambda: _decode_webp(limited(webp_pixels))),
        ],
        # PNG; anything else fails here, at the latest by TensorFlow's list of the formats.
        default=lambda: _decode_any(limited(png_pixels)),
    )
    return tf.ensure_shape(image, [None, None, 3])


def _decode_any(contents: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_image(contents, channels=3, expand_animations=False)


def _decode_jpeg(contents: tf.Tensor) -> tf.Tensor:
    # The accurate transform is the one that PIL uses, and so DomainBed.
    image = tf.io.decode_jpeg(contents, channels=3, dct_method="INTEGER_ACCURATE")
    return apply_orientation(image, read_orientation(contents))


def _decode_webp(contents: tf.Tensor) -> tf.Tensor:
    # TensorFlow 2.21 writes behind its buffer when it is to find out the channels of an animation
    # by itself, so the header is read here. If the header lies, the decoder reports an error.
    start = tf.strings.join([tf.strings.substr(contents, 0, 25), tf.constant(bytes(25))])
    header = tf.cast(tf.io.decode_raw(tf.strings.substr(start, 0, 25), tf.uint8), tf.int32)
    kind = tf.strings.substr(start, 12, 4)
    is_extended = kind == b"VP8X"
    is_animation = is_extended & (tf.bitwise.bitwise_and(header[20], 0x02) != 0)
    alpha_bits = tf.where(is_extended, header[20], tf.where(kind == b"VP8L", header[24], 0))
    has_alpha = tf.bitwise.bitwise_and(alpha_bits, 0x10) != 0
    with tf.control_dependencies(
        [tf.debugging.Assert(~is_animation, ["animated WebP is not supported"])]
    ):
        return tf.cond(
            has_alpha,
            lambda: tf.io.decode_webp(contents, channels=4)[0, :, :, :3],
            lambda: tf.io.decode_webp(contents, channels=3)[0],
        )


def _decode_bmp(contents: tf.Tensor) -> tf.Tensor:
    # TensorFlow takes the numbers of an 8-bit BMP for grey values; they are numbers of colours.
    image = tf.io.decode_bmp(contents)
    return tf.cond(
        tf.shape(image)[2] == 1,
        lambda: tf.gather(_bmp_palette(contents), tf.cast(image[..., 0], tf.int32)),
        lambda: image[..., :3],
    )


def _bmp_palette(contents: tf.Tensor) -> tf.Tensor:
    """Returns the colours of an 8-bit BMP, [256, 3]; the file holds them as blue, green, red, 0."""
    header_bytes = tf.io.decode_raw(tf.strings.substr(contents, 14, 4), tf.int32)[0]
    # A wrong size finds no palette; `substr` would report it with the file's bytes in the message.
    start = tf.clip_by_value(_BMP_FILE_HEADER_BYTES + header_bytes, 0, tf.strings.length(contents))
    colours = tf.strings.substr(contents, start, 4 * 256)
    values = tf.io.decode_raw(colours, tf.uint8)
    return tf.reshape(values[: tf.size(values) // 4 * 4], [-1, 4])[:, 2::-1]
