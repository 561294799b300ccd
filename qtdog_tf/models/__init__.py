"""Networks: backbones by name, their pretrained weights, and the classifier that is trained.

Start with `build_classifier`.
"""

from qtdog_tf.models.backbones import BACKBONES, build_backbone
from qtdog_tf.models.batch_norm import FrozenBatchNormalization
from qtdog_tf.models.classifier import build_classifier
from qtdog_tf.models.depthwise import FastDepthwiseConv2D
from qtdog_tf.models.pointwise import FastConv2D

__all__ = [
    "BACKBONES",
    "FastConv2D",
    "FastDepthwiseConv2D",
    "FrozenBatchNormalization",
    "build_backbone",
    "build_classifier",
]
