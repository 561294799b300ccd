"""The networks that can be trained, by name, with their pretrained weights.

Start with `build_backbone`.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras

from qtdog_tf.errors import UserError
from qtdog_tf.models import deit, efficientnet_lite, resnet
from qtdog_tf.models.applications import PREFIX, application
from qtdog_tf.models.mnist_cnn import mnist_cnn
from qtdog_tf.models.seeding import seeded_initializers
from qtdog_tf.models.tiny import tiny
from qtdog_tf.models.torch_layout import load_torch_tensors
from qtdog_tf.models.weights_file import read_tensors

Weights = str | Path | None
MIN_SIZE = 8
BACKBONES = (
    "deit_small",
    "efficientnet_lite0",
    "mnist_cnn",
    "mnist_cnn_quarter",
    "resnet18",
    "resnet50",
    "resnext50_32x4d",
    "tiny",
)


def build_backbone(
    name: str,
    *,
    image_size: int,
    weights: Weights = "imagenet",
    freeze_batch_norm: bool = True,
    seed: int = 0,
) -> keras.Model:
    """Builds a network without classifier that takes raw pixels.

    Args:
        name: one of `BACKBONES`, or "applications/<Name>" for a network of `keras.applications`.
        image_size: height and width of the images in pixels.
        weights: "imagenet", the path of a weights file, or None for random ones.
        freeze_batch_norm: whether batch norm keeps its statistics in training (gamma and beta
            learn either way).
        seed: of the random weights.

    Returns:
        A functional model from 'image' (float32 [S, S, 3], pixels 0..255) to pooled features [D].
        Those of `BACKBONES` are flat, with convolutions as plain Keras layers (without bias, those
        for MNIST and of DeiT aside), and activations as layers of their own.

    Raises:
        UserError: if the name is unknown, the size too small, or the weights are not to be had or
            of another architecture.
    """
    if name not in BACKBONES and not name.startswith(PREFIX):
        raise UserError(
            f"unknown backbone {name!r}; choose one of {', '.join(BACKBONES)}, or {PREFIX}<Name> "
            "with a network of keras.applications, e.g. applications/MobileNetV2"
        )
    if image_size < MIN_SIZE:
        raise UserError(f"image_size must be at least {MIN_SIZE} pixels, not {image_size}")
    with seeded_initializers(seed, "backbone"):
        if name.startswith(PREFIX):
            return application(
                name.removeprefix(PREFIX),
                image_size,
                weights=weights,
                freeze_batch_norm=freeze_batch_norm,
            )
        return _BUILDERS[name](image_size, weights, freeze_batch_norm)


def _tiny(image_size: int, weights: Weights, freeze_batch_norm: bool) -> keras.Model:
    _refuse_weights("tiny", weights)
    return tiny(image_size, freeze_batch_norm=freeze_batch_norm)


def _mnist_cnn(
    name: str, divisor: int, image_size: int, weights: Weights, freeze_batch_norm: bool
) -> keras.Model:
    # It has no batch norm.
    del freeze_batch_norm
    _refuse_weights(name, weights)
    return mnist_cnn(image_size, divisor=divisor, name=name)


def _refuse_weights(name: str, weights: Weights) -> None:
    if weights is not None:
        raise UserError(
            f"backbone {name!r} has no pretrained weights ({weights}): use weights=None, or "
            "--weights=none"
        )


def _efficientnet_lite0(image_size: int, weights: Weights, freeze_batch_norm: bool) -> keras.Model:
    model = efficientnet_lite.efficientnet_lite0(image_size, freeze_batch_norm=freeze_batch_norm)
    if weights is not None:
        path = efficientnet_lite.packaged_weights() if weights == "imagenet" else Path(weights)
        load_torch_tensors(
            model,
            read_tensors(path),
            efficientnet_lite.torch_names(),
            source=str(path),
            ignore=("_fc.weight", "_fc.bias"),
        )
    return model


def _resnet(name: str, image_size: int, weights: Weights, freeze_batch_norm: bool) -> keras.Model:
    if weights == "imagenet":
        raise UserError(
            f"ImageNet weights of {name} are not shipped: hand in weights=<path> of a .safetensors "
            f"file from timm, or of torchvision's {_TORCHVISION[name]} (IMAGENET1K_V1) "
            "after `python -m tools.convert_weights`"
        )
    model = resnet.resnet(name, image_size, freeze_batch_norm=freeze_batch_norm)
    if weights is not None:
        load_torch_tensors(
            model,
            read_tensors(weights),
            resnet.torch_names(model),
            source=str(weights),
            ignore=("fc.weight", "fc.bias"),
        )
    return model


def _deit_small(image_size: int, weights: Weights, freeze_batch_norm: bool) -> keras.Model:
    # It has no batch norm.
    del freeze_batch_norm
    if weights == "imagenet":
        raise UserError(
            "ImageNet weights of deit_small are not shipped: hand in weights=<path> of a "
            ".safetensors file from timm, or of facebook's deit_small_patch16_224-cd65a155.pth "
            "after `python -m tools.convert_weights`"
        )
    model = deit.deit("deit_small", image_size)
    if weights is not None:
        deit.load_weights(model, read_tensors(weights), deit.SMALL, source=str(weights))
    return model


_TORCHVISION = {
    "resnet18": "resnet18-f37072fd.pth",
    "resnet50": "resnet50-0676ba61.pth",
    "resnext50_32x4d": "resnext50_32x4d-7cdf4587.pth",
}


_BUILDERS: dict[str, Callable[[int, Weights, bool], keras.Model]] = {
    "deit_small": _deit_small,
    "efficientnet_lite0": _efficientnet_lite0,
    "mnist_cnn": partial(_mnist_cnn, "mnist_cnn", 1),
    "mnist_cnn_quarter": partial(_mnist_cnn, "mnist_cnn_quarter", 4),
    "resnet18": partial(_resnet, "resnet18"),
    "resnet50": partial(_resnet, "resnet50"),
    "resnext50_32x4d": partial(_resnet, "resnext50_32x4d"),
    "tiny": _tiny,
}
