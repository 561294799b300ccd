"""A backbone with a linear classifier on top: the model that is trained.

Start with `build_classifier`.
"""

import math

import keras

from qtdog_tf.errors import UserError
from qtdog_tf.models.backbones import Weights, build_backbone
from qtdog_tf.models.seeding import seeded_initializers


def build_classifier(
    backbone: str,
    num_classes: int,
    *,
    image_size: int,
    weights: Weights = "imagenet",
    freeze_batch_norm: bool = True,
    dropout: float = 0.0,
    seed: int = 0,
) -> keras.Model:
    """Builds a classifier that takes raw pixels and returns logits.

    The new head starts as torch's Linear does, in the paper's experiments: kernel and bias
    uniform in +-1/sqrt(D).

    Args:
        backbone: name, see `build_backbone`.
        num_classes: number of logits, at least 2.
        image_size: height and width of the images in pixels.
        weights: of the backbone: "imagenet", a path, or None for random ones.
        freeze_batch_norm: whether batch norm keeps its statistics in training.
        dropout: fraction of features set to 0 in training, 0 <= dropout < 1.
        seed: of the head, of dropout, and of random backbone weights.

    Returns:
        A flat functional model: 'image' (float32 [S, S, 3], pixels 0..255) -> logits (float32
        [num_classes], also under mixed precision). The last layer is called 'head'.

    Raises:
        UserError: if a value is out of range, or as `build_backbone`.
    """
    if num_classes < 2:
        raise UserError(f"a classifier needs at least 2 classes, not {num_classes}")
    if not 0 <= dropout < 1:
        raise UserError(f"dropout must be at least 0 and less than 1, not {dropout}")
    features = build_backbone(
        backbone,
        image_size=image_size,
        weights=weights,
        freeze_batch_norm=freeze_batch_norm,
        seed=seed,
    )
    x = features.output
    limit = 1 / math.sqrt(x.shape[-1])
    with seeded_initializers(seed, "head"):
        head = keras.layers.Dense(
            num_classes,
            kernel_initializer=keras.initializers.RandomUniform(-limit, limit),
            bias_initializer=keras.initializers.RandomUniform(-limit, limit),
            dtype="float32",
            name="head",
        )
        if dropout > 0:
            x = keras.layers.Dropout(dropout, name="dropout")(x)
        logits = head(x)
    return keras.Model(features.input, logits, name=f"{features.name}_classifier")
