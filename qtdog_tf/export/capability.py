"""Can a network become an integer file? Asked before training, not after.

Start with `integer_obstacles`.
"""

import keras

from qtdog_tf.export.graph.fold import fold
from qtdog_tf.export.graph.lower import float_layers, lower, name_some
from qtdog_tf.models import build_classifier

# Those of this project that are known to, so that none is built to find out; a test checks each.
INTEGER_BACKBONES = ("efficientnet_lite0", "resnet18", "resnet50", "resnext50_32x4d", "tiny")
# Those whose integer file is slow: LiteRT has plain kernels only for attention and LayerNorm.
TRANSFORMERS = ("deit_small",)


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


def backbone_warning(backbone: str, image_size: int, quantize_dense: bool = False) -> str | None:
    """What to tell somebody who is about to train a network that has no good integer file.

    Args:
        backbone: name, as `build_backbone` takes it.
        image_size: height and width of the images, pixels.
        quantize_dense: whether dense layers but the head will be quantized.

    Returns:
        A sentence, or None if an int8 file is possible and fast.

    Raises:
        UserError: as `build_backbone`.
    """
    if backbone in INTEGER_BACKBONES:
        return None
    if backbone in TRANSFORMERS and not quantize_dense:
        return (
            f"{backbone} has its weights in dense layers: without --quantize_dense only the "
            "convolution that makes tokens of patches is quantized"
        )
    if backbone in TRANSFORMERS:
        return (
            f"the int8 file of {backbone} holds integers only and takes about seven times as long "
            "as --kind=dynamic, the better choice wherever floats can be computed"
        )
    obstacles = integer_obstacles(
        build_classifier(backbone, 2, image_size=image_size, weights=None)
    )
    if not obstacles:
        return None
    return (
        f"{backbone} has no int8 file, since layer {name_some(obstacles)}; tools.export_tflite "
        "writes --kind=dynamic and --kind=float32 of it"
    )
