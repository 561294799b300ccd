"""Reads the EXIF orientation of a JPEG and turns the image upright, in TensorFlow ops.

TensorFlow's JPEG decoder ignores EXIF, so a phone's upright photograph would arrive lying on its
side. The orientation is tag 0x0112 of the TIFF directory in the JPEG's segment APP1. Start from
`read_orientation` and `apply_orientation`.
"""

import tensorflow as tf

UPRIGHT = 1
_ORIENTATION_TAG = 0x0112
_APP1 = 0xFFE1
_START_OF_SCAN = 0xFFDA
_EXIF_HEADER = (0x4578, 0x6966, 0x0000)  # "Exif\0\0" as three 16-bit numbers
_LITTLE_ENDIAN = 0x4949  # "II"
_ENTRY_BYTES = 12
# Cameras write the segment first. Looking no further bounds the work on a hostile file.
_SEARCHED_BYTES = 1 << 17


def read_orientation(contents: tf.Tensor) -> tf.Tensor:
    """Returns the EXIF orientation of a JPEG file.

    Args:
        contents: string scalar, the bytes of the file. Any bytes are allowed.

    Returns:
        int32 scalar, 1 to 8; 1 (upright) if the file states none or cannot be understood.
    """
    data = tf.io.decode_raw(tf.strings.substr(contents, 0, _SEARCHED_BYTES), tf.uint8)
    data = tf.cast(data, tf.int32)
    tiff = _find_tiff(data)
    return tf.cond(tiff > 0, lambda: _orientation_in_tiff(data, tiff), lambda: UPRIGHT)


def apply_orientation(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns and mirrors an image so that it stands upright.

    Args:
        image: [h, w, c].
        orientation: int32 scalar, 1 to 8: where the first row and column of `image` belong.

    Returns:
        The upright image: [h, w, c] for 1 to 4, [w, h, c] for 5 to 8.
    """
    flips_rows = tf.reduce_any(orientation == [3, 4, 7, 6])
    flips_columns = tf.reduce_any(orientation == [2, 3, 7, 8])
    image = tf.cond(flips_rows, lambda: tf.reverse(image, [0]), lambda: image)
    image = tf.cond(flips_columns, lambda: tf.reverse(image, [1]), lambda: image)
    return tf.cond(orientation >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)


def _find_tiff(data: tf.Tensor) -> tf.Tensor:
    """Returns where the TIFF directory of the EXIF segment starts, or 0 if there is none."""

    def is_another_segment(position: tf.Tensor) -> tf.Tensor:
        marker = _u16(data, position, little_endian=False)
        is_exif = marker == _APP1
        for index, number in enumerate(_EXIF_HEADER):
            is_exif &= _u16(data, position + 4 + 2 * index, little_endian=False) == number
        return (marker > 0xFF00) & (marker != _START_OF_SCAN) & ~is_exif

    def next_segment(position: tf.Tensor) -> tuple[tf.Tensor]:
        # A length below 2 is invalid; taking it as 2 moves on in any case.
        length = tf.maximum(_u16(data, position + 2, little_endian=False), 2)
        return (position + 2 + length,)

    (position,) = tf.while_loop(is_another_segment, next_segment, (tf.constant(2),))
    is_exif = _u16(data, position, little_endian=False) == _APP1
    return tf.where(is_exif, position + 10, 0)


def _orientation_in_tiff(data: tf.Tensor, tiff: tf.Tensor) -> tf.Tensor:
    little = _u16(data, tiff, little_endian=True) == _LITTLE_ENDIAN
    low, high = tf.cond(
        little,
        lambda: (_u16(data, tiff + 4, True), _u16(data, tiff + 6, True)),
        lambda: (_u16(data, tiff + 6, False), _u16(data, tiff + 4, False)),
    )
    # An offset that does not fit 16 bits would lie outside the segment, which has at most 64 KiB.
    directory = tiff + low
    size = tf.size(data)
    count = tf.where(high == 0, _u16(data, directory, little), 0)
    count = tf.clip_by_value(count, 0, tf.maximum(size - directory - 2, 0) // _ENTRY_BYTES)
    entries = directory + 2 + _ENTRY_BYTES * tf.range(count)
    values = tf.boolean_mask(
        _u16(data, entries + 8, little), _u16(data, entries, little) == _ORIENTATION_TAG
    )
    value = tf.concat([values, [UPRIGHT]], axis=0)[0]
    return tf.where((value >= 1) & (value <= 8), value, UPRIGHT)


def _u16(data: tf.Tensor, position: tf.Tensor, little_endian: tf.Tensor | bool) -> tf.Tensor:
    """Reads 16-bit numbers at any positions; bytes behind the end are 0."""
    first, second = _byte(data, position), _byte(data, position + 1)
    return tf.where(little_endian, first + 256 * second, 256 * first + second)


def _byte(data: tf.Tensor, position: tf.Tensor) -> tf.Tensor:
    inside = position < tf.size(data)
    padded = tf.concat([data, [0]], axis=0)
    return tf.where(inside, tf.gather(padded, tf.minimum(position, tf.size(data))), 0)
