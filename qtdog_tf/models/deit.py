"""DeiT-Small, the vision transformer of the method's table 8.7 (Touvron et al., ICML 2021).

Patches of 16 x 16 pixels become tokens by a convolution; a class token and learned positions are
added; twelve blocks follow, `x + proj(attention(qkv(norm(x))))` and `x + fc2(gelu(fc1(norm(x))))`,
with the exact GELU and LayerNorm's epsilon 1e-6; the normed class token is the feature. Every
matrix in the blocks is a plain Dense layer, for --quantize_dense.

Start with `deit`.
"""

import dataclasses
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from qtdog_tf.errors import UserError
from qtdog_tf.models.attention import ClassToken, SelfAttention
from qtdog_tf.models.resnet import DEVIATION, MEAN
from qtdog_tf.models.torch_layout import load_torch_tensors

EPSILON = 1e-6
_TOKEN, _POSITIONS = "cls_token", "pos_embed"


@dataclasses.dataclass(frozen=True)
class Variant:
    """The sizes of a vision transformer.

    Attributes:
        width: channels of a token; a multiple of `heads`.
        blocks: how many.
        heads: of the attention in each.
        patch: height and width of what becomes a token, pixels.
    """

    width: int = 384
    blocks: int = 12
    heads: int = 6
    patch: int = 16


SMALL = Variant()


def deit(name: str, image_size: int, variant: Variant = SMALL) -> keras.Model:
    """Builds the network without its classifier, with random weights.

    Args:
        name: of the model.
        image_size: height and width of the input in pixels, a multiple of the patch; 224 in
            training on ImageNet.
        variant: its sizes; a small one in tests.

    Returns:
        A flat functional model from 'image' (raw pixels 0..255, float32 [S, S, 3]) to features
        [width].

    Raises:
        UserError: if patches do not fill the image.
    """
    if image_size % variant.patch:
        raise UserError(
            f"{name} cuts images into patches of {variant.patch} pixels: image_size must be a "
            f"multiple of that, not {image_size}"
        )
    layers, tokens = keras.layers, (image_size // variant.patch) ** 2
    image = keras.Input((image_size, image_size, 3), name="image")
    scale = [1 / (255 * d) for d in DEVIATION]
    offset = [-m / d for m, d in zip(MEAN, DEVIATION, strict=True)]
    x = layers.Rescaling(scale, offset, name="normalize")(image)
    x = layers.Conv2D(variant.width, variant.patch, variant.patch, name="patch_embed")(x)
    x = layers.Reshape((tokens, variant.width), name="patches")(x)
    x = ClassToken(name="tokens")(x)
    for number in range(variant.blocks):
        x = _block(x, variant, f"block{number}")
    x = layers.Cropping1D((0, tokens), name="class_token")(x)
    x = layers.LayerNormalization(epsilon=EPSILON, name="norm")(x)
    return keras.Model(image, layers.Flatten(name="features")(x), name=name)


def load_weights(
    model: keras.Model, tensors: Mapping[str, np.ndarray], variant: Variant, *, source: str
) -> None:
    """Sets the weights of a `deit` from tensors in timm's and facebook's layout.

    Args:
        model: what `deit` returned.
        tensors: tensor name -> array. Positions for another size of image are interpolated.
        variant: the model's.
        source: what the tensors are called in an error, e.g. their file.

    Raises:
        UserError: if a tensor is missing, superfluous, of another shape, or not finite.
    """
    tokens = model.get_layer("tokens")
    token, positions = _tokens(tensors, variant.width, source)
    side = round((tokens.positions.shape[0] - 1) ** 0.5)
    load_torch_tensors(
        model,
        tensors,
        torch_names(variant),
        source=source,
        ignore=(_TOKEN, _POSITIONS, "head.weight", "head.bias"),
    )
    tokens.set_weights([token, resize_positions(positions, side)])


def torch_names(variant: Variant) -> dict[str, str]:
    """Returns layer name -> prefix of its tensors; those of the class token have none."""
    names = {"patch_embed": "patch_embed.proj", "norm": "norm"}
    for number in range(variant.blocks):
        for layer in ("norm1", "norm2", "attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"):
            names[f"block{number}_{layer.rpartition('.')[2]}"] = f"blocks.{number}.{layer}"
    return names


def resize_positions(positions: np.ndarray, side: int) -> np.ndarray:
    """Positions of a grid of patches for a grid of another size: bicubic, as timm does it.

    Args:
        positions: float32 [1 + n * n, width], the class token's first.
        side: patches along an edge of the image.

    Returns:
        float32 [1 + side * side, width].
    """
    token, grid = positions[:1], positions[1:]
    before = round(len(grid) ** 0.5)
    if before == side:
        return positions
    grid = tf.image.resize(
        grid.reshape(before, before, -1), (side, side), "bicubic", antialias=True
    )
    return np.concatenate([token, np.asarray(grid).reshape(side * side, -1)])


def _tokens(
    tensors: Mapping[str, np.ndarray], width: int, source: str
) -> tuple[np.ndarray, np.ndarray]:
    """The class token [width] and the positions [1 + n * n, width], checked."""
    for name in (_TOKEN, _POSITIONS):
        if name not in tensors:
            raise UserError(
                f"{source} is a weights file of another architecture: it has no tensor {name!r}"
            )
    token, positions = (np.asarray(tensors[name], np.float32) for name in (_TOKEN, _POSITIONS))
    if token.shape != (1, 1, width):
        raise UserError(
            f"{source} is a weights file of another architecture: tensor {_TOKEN!r} has shape "
            f"{list(token.shape)}, which does not fit a width of {width}"
        )
    side = round(max(positions.size // width - 1, 1) ** 0.5)
    if positions.shape != (1, 1 + side * side, width):
        raise UserError(
            f"{source} is a weights file of another architecture: tensor {_POSITIONS!r} has shape "
            f"{list(positions.shape)}, which is no class token and a square of patches"
        )
    if not (np.all(np.isfinite(token)) and np.all(np.isfinite(positions))):
        raise UserError(f"{source} is damaged: its class token or positions hold NaN or infinity")
    return token[0, 0], positions[0]


def _block(x: keras.KerasTensor, variant: Variant, name: str) -> keras.KerasTensor:
    """Attention and a network of two layers, each on the normed tokens and added to them."""
    layers = keras.layers

    def dense(units: int, part: str) -> keras.layers.Dense:
        noise = keras.initializers.TruncatedNormal(stddev=0.02)
        return layers.Dense(units, kernel_initializer=noise, name=f"{name}_{part}")

    def norm(part: str) -> keras.layers.Layer:
        return layers.LayerNormalization(epsilon=EPSILON, name=f"{name}_{part}")

    out = dense(3 * variant.width, "qkv")(norm("norm1")(x))
    out = SelfAttention(variant.heads, name=f"{name}_attention")(out)
    x = layers.Add(name=f"{name}_add1")([x, dense(variant.width, "proj")(out)])
    out = dense(4 * variant.width, "fc1")(norm("norm2")(x))
    out = layers.Activation("gelu", name=f"{name}_gelu")(out)
    return layers.Add(name=f"{name}_add2")([x, dense(variant.width, "fc2")(out)])
