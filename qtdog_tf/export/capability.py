"""Can a network become an integer file? Asked before training, not after.

Start with `integer_obstacles`.
"""

import keras

from qtdog_tf.export.fold import fold
from qtdog_tf.export.lower import float_layers, lower, name_some
from qtdog_tf.models import BACKBONES, build_classifier


def integer_obstacles(model: keras.Model) -> list[str]:
    """The layers of a model that an integer file cannot hold, each with the reason.

    Args:
        model: functional or sequential, trained or not.

    Returns:
        Empty if the whole model can be integer.

    Raises:
        UserError: for a subclassed model, or more than one input or output.
    """
    return float_layers(fold(lower(model)))


def backbone_warning(backbone: str, image_size: int) -> str | None:
    """What to tell somebody who is about to train a network that has no integer file.

    Args:
        backbone: name, as `build_backbone` takes it.
        image_size: height and width of the images, pixels.

    Returns:
        A sentence, or None if int8 export is possible.

    Raises:
        UserError: as `build_backbone`.
    """
    if backbone in BACKBONES:  # a test checks each of them
        return None
    obstacles = integer_obstacles(
        build_classifier(backbone, 2, image_size=image_size, weights=None)
    )
    if not obstacles:
        return None
    return (
        f"{backbone} has no int8 file, since layer {name_some(obstacles)}; tools.export_tflite "
        "writes --kind=dynamic and --kind=float32 of it"
    )
