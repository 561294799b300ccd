"""ResNet-18 and ResNet-50 in torchvision's v1.5 topology, the backbone of the paper.

Other than `keras.applications.ResNet50` (v1): the 3x3 convolution strides, not the 1x1 before it;
convolutions have no bias; batch norm epsilon is 1e-5; images are scaled by ImageNet's mean and
deviation. torch pads on both sides, Keras' "same" more at the end: so a striding layer is padded
by a layer of its own. Layers are called as torch's tensors ('layer1.0.conv1' -> 'layer1_0_conv1'),
except the stem ('stem_conv', 'stem_bn').

Start with `resnet`.
"""

from collections.abc import Callable

import keras

from qtdog_tf.models import batch_norm as bn

EPSILON = 1e-5
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
# Blocks in each of the four stages, and whether they are bottlenecks (1x1, 3x3, 1x1).
VARIANTS = {"resnet18": ((2, 2, 2, 2), False), "resnet50": ((3, 4, 6, 3), True)}

Norm = Callable[[keras.KerasTensor, str], keras.KerasTensor]


def resnet(name: str, image_size: int, *, freeze_batch_norm: bool = True) -> keras.Model:
    """Builds the network without its classifier, with random weights.

    Args:
        name: a key of `VARIANTS`.
        image_size: height and width of the input in pixels; 224 in training on ImageNet.
        freeze_batch_norm: whether the batch norm statistics stay fixed in training.

    Returns:
        A flat functional model from 'image' (raw pixels 0..255, float32 [S, S, 3]) to pooled
        features ([512] for ResNet-18, [2048] for ResNet-50).
    """

    def norm(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        layer = bn.batch_norm(frozen=freeze_batch_norm, epsilon=EPSILON, momentum=0.9, name=name)
        return layer(x)

    blocks, bottleneck = VARIANTS[name]
    image = keras.Input((image_size, image_size, 3), name="image")
    scale = [1 / (255 * d) for d in DEVIATION]
    offset = [-m / d for m, d in zip(MEAN, DEVIATION, strict=True)]
    x = keras.layers.Rescaling(scale, offset, name="normalize")(image)
    x = norm(_conv(x, 64, 7, 2, "stem_conv"), "stem_bn")
    x = keras.layers.ReLU(name="stem_relu")(x)
    # Padding with 0 is padding with -infinity here: after ReLU nothing is smaller.
    x = keras.layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
    x = keras.layers.MaxPooling2D(3, 2, name="stem_pool")(x)
    for stage, count in enumerate(blocks, start=1):
        for index in range(count):
            strides = 2 if stage > 1 and index == 0 else 1
            prefix = f"layer{stage}_{index}"
            x = _block(x, 64 * 2 ** (stage - 1), strides, bottleneck, prefix, norm)
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
    x: keras.KerasTensor, filters: int, kernel_size: int, strides: int, name: str
) -> keras.KerasTensor:
    """Convolution with torch's padding of (kernel size - 1) / 2 on each side, without bias."""
    same = strides == 1 or kernel_size == 1
    if not same:
        x = keras.layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(x)
    padding = "same" if same else "valid"
    conv = keras.layers.Conv2D(
        filters,
        kernel_size,
        strides,
        padding,
        use_bias=False,
        kernel_initializer=keras.initializers.HeNormal(),
        name=name,
    )
    return conv(x)


def _block(
    x: keras.KerasTensor, filters: int, strides: int, bottleneck: bool, name: str, norm: Norm
) -> keras.KerasTensor:
    """Two 3x3 convolutions, or 1x1, 3x3 and 1x1 of four times the width, plus the input."""
    widths = [(filters, 1), (filters, 3), (4 * filters, 1)] if bottleneck else [(filters, 3)] * 2
    striding = 1 if bottleneck else 0  # v1.5: the first 3x3
    out = shortcut = x
    for i, (width, kernel_size) in enumerate(widths):
        if i > 0:
            out = keras.layers.ReLU(name=f"{name}_relu{i}")(out)
        conv = _conv(
            out, width, kernel_size, strides if i == striding else 1, f"{name}_conv{i + 1}"
        )
        out = norm(conv, f"{name}_bn{i + 1}")
    if strides > 1 or shortcut.shape[-1] != out.shape[-1]:
        shortcut = _conv(shortcut, out.shape[-1], 1, strides, f"{name}_downsample_conv")
        shortcut = norm(shortcut, f"{name}_downsample_bn")
    out = keras.layers.Add(name=f"{name}_add")([out, shortcut])
    return keras.layers.ReLU(name=f"{name}_relu")(out)
