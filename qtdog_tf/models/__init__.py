"""Networks: backbones by name, their pretrained weights, and the classifier that is trained.

Start with `build_classifier`.
"""

from qtdog_tf.models.attention import ClassToken, SelfAttention
from qtdog_tf.models.backbones import BACKBONES, build_backbone
from qtdog_tf.models.batch_norm import FrozenBatchNormalization
from qtdog_tf.models.classifier import build_classifier
from qtdog_tf.models.depthwise import FastDepthwiseConv2D
from qtdog_tf.models.group_norm import FastGroupNormalization
from qtdog_tf.models.grouped import FastGroupedConv2D
from qtdog_tf.models.pointwise import FastConv2D

__all__ = [
    "BACKBONES",
    "ClassToken",
    "FastConv2D",
    "FastDepthwiseConv2D",
    "FastGroupNormalization",
    "FastGroupedConv2D",
    "FrozenBatchNormalization",
    "SelfAttention",
    "build_backbone",
    "build_classifier",
]
