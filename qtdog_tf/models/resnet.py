"""ResNet-18, ResNet-50 and ResNeXt-50 32x4d in torchvision's v1.5 topology.

ResNet-50 is the paper's backbone; ResNeXt-50 32x4d its second, whose 3x3 convolutions have 32
groups of channels with filters of their own.

Other than `keras.applications.ResNet50` (v1): the 3x3 convolution strides, not the 1x1 before it;
convolutions have no bias; batch norm epsilon is 1e-5; images are scaled by ImageNet's mean and
deviation. torch pads on both sides, Keras' "same" more at the end: so a striding layer is padded
by a layer of its own. Layers are called as torch's tensors ('layer1.0.conv1' -> 'layer1_0_conv1'),
except the stem ('stem_conv', 'stem_bn').

Start with `resnet`.
"""

import dataclasses
from collections.abc import Callable

import keras

from qtdog_tf.models import batch_norm as bn
from qtdog_tf.models.grouped import FastGroupedConv2D

EPSILON = 1e-5
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True)
class Variant:
    """What tells one ResNet from another.

    Attributes:
        blocks: how many in each stage.
        bottleneck: whether a block is 1x1, 3x3 and 1x1, or twice 3x3.
        groups: of channels in the 3x3 convolutions of bottlenecks.
        group_width: channels of a group in the first stage; they double from stage to stage.
        width: channels of the stem and, times 1, 2, 4, 8 (and 4 in bottlenecks), of the stages.
    """

    blocks: tuple[int, ...]
    bottleneck: bool = True
    groups: int = 1
    group_width: int = 64
    width: int = 64


VARIANTS = {
    "resnet18": Variant((2, 2, 2, 2), bottleneck=False),
    "resnet50": Variant((3, 4, 6, 3)),
    "resnext50_32x4d": Variant((3, 4, 6, 3), groups=32, group_width=4),
}

Norm = Callable[[keras.KerasTensor, str], keras.KerasTensor]


def resnet(
    name: str,
    image_size: int,
    *,
    freeze_batch_norm: bool = True,
    variant: Variant | None = None,
) -> keras.Model:
    """Builds the network without its classifier, with random weights.

    Args:
        name: of the model; a key of `VARIANTS` if no variant is given.
        image_size: height and width of the input in pixels; 224 in training on ImageNet.
        freeze_batch_norm: whether the batch norm statistics stay fixed in training.
        variant: another network of this kind, a small one in tests.

    Returns:
        A flat functional model from 'image' (raw pixels 0..255, float32 [S, S, 3]) to pooled
        features ([512] for ResNet-18, [2048] for the others).
    """
    variant = variant or VARIANTS[name]

    def norm(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        layer = bn.batch_norm(frozen=freeze_batch_norm, epsilon=EPSILON, momentum=0.9, name=name)
        return layer(x)

    image = keras.Input((image_size, image_size, 3), name="image")
    scale = [1 / (255 * d) for d in DEVIATION]
    offset = [-m / d for m, d in zip(MEAN, DEVIATION, strict=True)]
    x = keras.layers.Rescaling(scale, offset, name="normalize")(image)
    x = norm(_conv(x, variant.width, 7, 2, "stem_conv"), "stem_bn")
    x = keras.layers.ReLU(name="stem_relu")(x)
    # Padding with 0 is padding with -infinity here: after ReLU nothing is smaller.
    x = keras.layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
    x = keras.layers.MaxPooling2D(3, 2, name="stem_pool")(x)
    for stage, count in enumerate(variant.blocks, start=1):
        for index in range(count):
            strides = 2 if stage > 1 and index == 0 else 1
            x = _block(x, variant, stage, strides, f"layer{stage}_{index}", norm)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, x, name=name)


def torch_names(model: keras.Model) -> dict[str, str]:
    """Returns layer name -> prefix of its tensors in torchvision's and timm's files."""
    special = {"stem_conv": "conv1", "stem_bn": "bn1"}
    return {
        layer.name: special.get(layer.name) or _torch_name(layer.name)
        for layer in model.layers
        if layer.weights
    }


def _torch_name(name: str) -> str:
    """'layer1_0_downsample_conv' -> 'layer1.0.downsample.0'."""
    name = name.replace("downsample_conv", "downsample.0").replace("downsample_bn", "downsample.1")
    return name.replace("_", ".")


def _conv(
    x: keras.KerasTensor,
    filters: int,
    kernel_size: int,
    strides: int,
    name: str,
    groups: int = 1,
) -> keras.KerasTensor:
    """Convolution with torch's padding of (kernel size - 1) / 2 on each side, without bias."""
    same = strides == 1 or kernel_size == 1
    if not same:
        x = keras.layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(x)
    kind = keras.layers.Conv2D if groups == 1 else FastGroupedConv2D
    conv = kind(
        filters,
        kernel_size,
        strides,
        "same" if same else "valid",
        groups=groups,
        use_bias=False,
        kernel_initializer=keras.initializers.HeNormal(),
        name=name,
    )
    return conv(x)


def _block(
    x: keras.KerasTensor, variant: Variant, stage: int, strides: int, name: str, norm: Norm
) -> keras.KerasTensor:
    """Two 3x3 convolutions, or 1x1, 3x3 and 1x1 of four times the width, plus the input."""
    filters = variant.width * 2 ** (stage - 1)
    inner = variant.groups * variant.group_width * 2 ** (stage - 1)
    # Filters, kernel size and groups of each convolution.
    convs = [(filters, 3, 1), (filters, 3, 1)]
    if variant.bottleneck:
        convs = [(inner, 1, 1), (inner, 3, variant.groups), (4 * filters, 1, 1)]
    striding = 1 if variant.bottleneck else 0  # v1.5: the first 3x3
    out = shortcut = x
    for i, (width, kernel_size, groups) in enumerate(convs):
        if i > 0:
            out = keras.layers.ReLU(name=f"{name}_relu{i}")(out)
        stride = strides if i == striding else 1
        out = _conv(out, width, kernel_size, stride, f"{name}_conv{i + 1}", groups)
        out = norm(out, f"{name}_bn{i + 1}")
    if strides > 1 or shortcut.shape[-1] != out.shape[-1]:
        shortcut = _conv(shortcut, out.shape[-1], 1, strides, f"{name}_downsample_conv")
        shortcut = norm(shortcut, f"{name}_downsample_bn")
    out = keras.layers.Add(name=f"{name}_add")([out, shortcut])
    return keras.layers.ReLU(name=f"{name}_relu")(out)
