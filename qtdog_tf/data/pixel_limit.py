"""Refuses images that declare more pixels than this project decodes, before they are decoded.

A file of a few hundred bytes can declare 65,535 x 65,535 pixels, which a decoder then allocates.
The declared size stands in the first bytes of every format but JPEG, whose header TensorFlow reads,
and GIF, each of whose frames has a size of its own. Start from `with_pixel_limit`.
"""

import struct

import numpy as np
import tensorflow as tf

# 134 million pixels: more than any phone's photograph has (108), 403 MB once decoded to RGB.
MAX_PIXELS = 2**27
# TensorFlow decodes every frame of a GIF, a byte a pixel, to hand out the first.
MAX_GIF_BYTES = 2**29

_HEADER_BYTES = 32
# Lengths of GIF's fixed parts, and what starts its blocks.
_GIF_SCREEN, _GIF_FRAME = 13, 10
_FRAME_MARK, _EXTENSION_MARK = 0x2C, 0x21


def with_pixel_limit(contents: tf.Tensor, pixels: tf.Tensor) -> tf.Tensor:
    """Returns the bytes of an image file as they are, unless it declares too many pixels.

    Args:
        contents: string scalar.
        pixels: int64 scalar, from one of the functions below.

    Raises:
        tf.errors.InvalidArgumentError: if there are more than `MAX_PIXELS`.
    """
    # Not tf.debugging.Assert, whose branches take as long as decoding a small image.
    fits = tf.raw_ops.Assert(
        condition=pixels <= MAX_PIXELS, data=[f"more than {MAX_PIXELS} pixels are declared"]
    )
    # Eagerly there is no operation: it has raised already.
    with tf.control_dependencies([fits] if fits is not None else []):
        return tf.identity(contents)


def declared_pixels(contents: tf.Tensor) -> tf.Tensor:
    """Returns how many pixels an image file of any format says it has, int64; 0 if it is none.

    Raises:
        tf.errors.InvalidArgumentError: if the file ends before its size.
    """
    start = tf.strings.substr(contents, 0, 16)
    is_webp = (tf.strings.substr(start, 0, 4) == b"RIFF") & (tf.strings.length(start) >= 12)
    return tf.case(
        [
            (tf.strings.substr(start, 0, 3) == b"\xff\xd8\xff", lambda: jpeg_pixels(contents)),
            (tf.strings.substr(start, 0, 4) == b"\x89PNG", lambda: png_pixels(contents)),
            (tf.strings.substr(start, 0, 2) == b"BM", lambda: bmp_pixels(contents)),
            (tf.strings.substr(start, 0, 4) == b"GIF8", lambda: gif_pixels(contents)),
            (is_webp, lambda: webp_pixels(contents)),
        ],
        default=lambda: tf.constant(0, tf.int64),
    )


def jpeg_pixels(contents: tf.Tensor) -> tf.Tensor:
    """Pixels that a JPEG declares, int64."""
    return tf.cast(tf.reduce_prod(tf.io.extract_jpeg_shape(contents, tf.int64)[:2]), tf.int64)


def png_pixels(contents: tf.Tensor) -> tf.Tensor:
    """Pixels that a PNG declares, int64."""
    size = tf.io.decode_raw(_part(contents, 16), tf.int32, little_endian=False)
    return tf.reduce_prod(tf.abs(tf.cast(size, tf.int64)))


def bmp_pixels(contents: tf.Tensor) -> tf.Tensor:
    """Pixels that a BMP declares, int64; its height is negative if its rows go downwards."""
    size = tf.io.decode_raw(_part(contents, 18), tf.int32)
    return tf.reduce_prod(tf.abs(tf.cast(size, tf.int64)))


def _part(contents: tf.Tensor, position: int) -> tf.Tensor:
    """Eight bytes, fewer at the end of the file."""
    # Behind the end `substr` reports the file's bytes, which are no text: a UnicodeDecodeError.
    return tf.strings.substr(contents, tf.minimum(position, tf.strings.length(contents)), 8)


def webp_pixels(contents: tf.Tensor) -> tf.Tensor:
    """Pixels that a WebP declares, int64."""
    start = tf.strings.join([tf.strings.substr(contents, 0, _HEADER_BYTES), bytes(_HEADER_BYTES)])
    header = tf.io.decode_raw(tf.strings.substr(start, 0, _HEADER_BYTES), tf.uint8)
    return _webp(tf.cast(header, tf.int64), tf.strings.substr(start, 12, 4))


def gif_pixels(contents: tf.Tensor) -> tf.Tensor:
    """Pixels that a GIF declares, int64.

    The larger of its largest frame and, scaled from `MAX_GIF_BYTES` to `MAX_PIXELS`, all its frames
    together.
    """
    # GIF is rare in data sets, so that Python may walk through its blocks.
    return tf.ensure_shape(tf.numpy_function(_gif_pixels, [contents], tf.int64), [])


def _webp(header: tf.Tensor, kind: tf.Tensor) -> tf.Tensor:
    canvas = (_little_endian(header[24:27]) + 1) * (_little_endian(header[27:30]) + 1)
    bits = _little_endian(header[21:25])
    lossless = (bits % 2**14 + 1) * (bits // 2**14 % 2**14 + 1)
    lossy = (_little_endian(header[26:28]) % 2**14) * (_little_endian(header[28:30]) % 2**14)
    return tf.where(kind == b"VP8X", canvas, tf.where(kind == b"VP8L", lossless, lossy))


def _little_endian(digits: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(digits * 256 ** tf.range(tf.size(digits, tf.int64), dtype=tf.int64))


def _gif_pixels(value: bytes | np.ndarray) -> np.int64:
    """`gif_pixels`, up to where the file stops making sense."""
    contents = value if isinstance(value, bytes) else value.item()  # an array: called eagerly
    frames, width, height = 0, 0, 0
    position = _GIF_SCREEN + _colour_table(contents, 10)
    while position < len(contents):
        mark = contents[position]
        if mark == _FRAME_MARK and position + _GIF_FRAME <= len(contents):
            across, down = struct.unpack_from("<2H", contents, position + 5)
            frames += across * down
            width, height = max(width, across), max(height, down)
            # After the colours comes one byte, the size of the first code.
            position += _GIF_FRAME + _colour_table(contents, position + 9) + 1
        elif mark == _EXTENSION_MARK:
            position += 2
        else:
            break
        while position < len(contents) and contents[position]:
            position += 1 + contents[position]
        position += 1
    return np.int64(max(width * height, frames * MAX_PIXELS // MAX_GIF_BYTES))


def _colour_table(contents: bytes, position: int) -> int:
    """Bytes of the table of colours that the flags at a position announce."""
    flags = contents[position] if position < len(contents) else 0
    return 3 * 2 ** (flags % 8 + 1) if flags & 0x80 else 0
