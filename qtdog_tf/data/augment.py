"""DomainBed's augmentation of training images, and the resizing of test images.

Section 1.3 of the method's specification: a random crop of 70 to 100 % of the area, a mirror image
half of the time, a change of brightness, contrast, saturation and hue in random order, and grey one
time in ten. All chances of one image are drawn at once from its seed, so that the result is a pure
function of (image, seed). Start from `domainbed_augment`.
"""

import math

import tensorflow as tf

from qtdog_tf.data import colour

CROP_AREA = (0.7, 1.0)
CROP_RATIO = (3 / 4, 4 / 3)
CROP_ATTEMPTS = 10
MIRROR_PROBABILITY = 0.5
JITTER = 0.3
GREY_PROBABILITY = 0.1

# How the draws of one image are used, and how many each use takes.
_DRAWS = {
    "area": CROP_ATTEMPTS,
    "ratio": CROP_ATTEMPTS,
    "corner": 2,
    "mirror": 1,
    "jitter": 4,
    "order": 4,
    "grey": 1,
}


def domainbed_augment(image: tf.Tensor, size: int, seed: tf.Tensor) -> tf.Tensor:
    """Augments one training image.

    Args:
        image: uint8 [h, w, 3].
        size: edge of the result in pixels.
        seed: integer [2]. The same seed gives the same result on any machine, up to rounding.

    Returns:
        uint8 [size, size, 3].
    """
    draws = tf.random.stateless_uniform(
        [sum(_DRAWS.values())], seed, alg=tf.random.Algorithm.PHILOX
    )
    part = dict(zip(_DRAWS, tf.split(draws, list(_DRAWS.values())), strict=True))
    shape = tf.shape(image)
    box = crop_box(shape[0], shape[1], part["area"], part["ratio"], part["corner"])
    image = resize_squash(tf.slice(image, [box[0], box[1], 0], [box[2], box[3], 3]), size)
    image = mirror(image, part["mirror"][0])
    image = jitter_colours(image, part["jitter"], tf.argsort(part["order"]))
    return random_grey(image, part["grey"][0])


def resize_squash(image: tf.Tensor, size: int) -> tf.Tensor:
    """Resizes to a square without regard to the aspect ratio, as PIL's bilinear `resize` does.

    The filter widens when it shrinks the image (antialiasing).

    Args:
        image: uint8 [h, w, 3].
        size: edge of the result in pixels.

    Returns:
        uint8 [size, size, 3], within one level of PIL's result.
    """
    height, width, _ = tf.unstack(tf.shape(image))
    # The same numbers as `tf.image.resize` in half the time: along a row it works pixel by pixel.
    resized = _resize_rows(tf.reshape(image, [height, 3 * width]), size)
    resized = _resize_rows(tf.reshape(_transpose(resized), [width, 3 * size]), size)
    resized = _transpose(tf.reshape(resized, [3 * size, size]))
    resized = tf.reshape(resized, [size, size, 3])
    return tf.cast(tf.clip_by_value(tf.round(resized), 0.0, 255.0), tf.uint8)


def _resize_rows(values: tf.Tensor, size: int) -> tf.Tensor:
    """Resizes the columns of a matrix, [n, columns], with the filter of `resize_squash`.

    Returns:
        float32 [size, columns].
    """
    rows, columns = tf.unstack(tf.shape(values))
    resized = tf.raw_ops.ScaleAndTranslate(
        images=tf.reshape(values, [1, rows, 1, columns]),
        size=[size, 1],
        scale=tf.stack([size / tf.cast(rows, tf.float32), 1.0]),
        translation=[0.0, 0.0],
        kernel_type="triangle",
        antialias=True,
    )
    return tf.reshape(resized, [size, columns])


def _transpose(matrix: tf.Tensor) -> tf.Tensor:
    """Transposes without oneDNN, which compiles a program for each new width of an image."""
    return tf.raw_ops.Einsum(inputs=[matrix], equation="ab->ba")


def crop_box(
    height: tf.Tensor, width: tf.Tensor, area: tf.Tensor, ratio: tf.Tensor, corner: tf.Tensor
) -> tf.Tensor:
    """Chooses the part of the image that torchvision's `RandomResizedCrop` would.

    Args:
        height: int32 scalar, pixels.
        width: int32 scalar, pixels.
        area: float32 [attempts], draws from [0, 1) for the area.
        ratio: float32 [attempts], draws from [0, 1) for width / height, uniform in its logarithm.
        corner: float32 [2], draws from [0, 1) for the top and the left edge.

    Returns:
        int32 [4]: top, left, height, width. The first attempt that fits into the image; if none
        does, the largest centred part whose ratio is allowed.
    """
    full_height, full_width = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
    areas = full_height * full_width * (CROP_AREA[0] + (CROP_AREA[1] - CROP_AREA[0]) * area)
    low, high = math.log(CROP_RATIO[0]), math.log(CROP_RATIO[1])
    ratios = tf.exp(low + (high - low) * ratio)
    widths, heights = tf.round(tf.sqrt(areas * ratios)), tf.round(tf.sqrt(areas / ratios))
    fits = (widths > 0) & (widths <= full_width) & (heights > 0) & (heights <= full_height)
    first = tf.argmax(fits)
    free = tf.stack([full_height - heights[first], full_width - widths[first]])
    # A product with a draw just below 1 may round up to free + 1.
    offset = tf.minimum(tf.floor(corner * (free + 1)), free)
    attempt = tf.stack([offset[0], offset[1], heights[first], widths[first]])
    box = tf.where(fits[first], attempt, _centred_box(full_height, full_width))
    return tf.cast(box, tf.int32)


def mirror(image: tf.Tensor, draw: tf.Tensor) -> tf.Tensor:
    """Swaps left and right if the draw from [0, 1) is below 0.5."""
    return tf.cond(draw < MIRROR_PROBABILITY, lambda: tf.reverse(image, [1]), lambda: image)


def jitter_colours(image: tf.Tensor, draws: tf.Tensor, order: tf.Tensor) -> tf.Tensor:
    """Changes brightness, contrast, saturation and hue in a given order.

    Args:
        image: uint8 [h, w, 3].
        draws: float32 [4] from [0, 1), for brightness, contrast, saturation and hue; 0.5 changes
            nothing. The factors are 1 +- 0.3 at the ends, the hue turns by +- 0.3 of the circle.
        order: int32 [4], a permutation of 0 to 3: which of the four comes first, second, ...

    Returns:
        uint8 [h, w, 3].
    """
    amounts = JITTER * (2 * draws - 1)

    def change(place: tf.Tensor, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        changed = tf.switch_case(
            order[place],
            [
                lambda: colour.adjust_brightness(image, 1 + amounts[0]),
                lambda: colour.adjust_contrast(image, 1 + amounts[1]),
                lambda: colour.adjust_saturation(image, 1 + amounts[2]),
                lambda: colour.adjust_hue(image, amounts[3]),
            ],
        )
        return place + 1, changed

    # A loop is traced once, four branches in a row four times: the pipeline starts sooner.
    _, image = tf.while_loop(lambda place, _: place < 4, change, (0, image))
    return image


def random_grey(image: tf.Tensor, draw: tf.Tensor) -> tf.Tensor:
    """Makes the image grey, with three equal channels, if the draw from [0, 1) is below 0.1."""
    return tf.cond(draw < GREY_PROBABILITY, lambda: colour.to_grey(image), lambda: image)


def _centred_box(height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Returns torchvision's fallback as float32 [4]: top, left, height, width."""
    box_width = tf.minimum(width, tf.round(height * CROP_RATIO[1]))
    box_height = tf.minimum(height, tf.round(width / CROP_RATIO[0]))
    top, left = (height - box_height) // 2, (width - box_width) // 2
    return tf.stack([top, left, box_height, box_width])
