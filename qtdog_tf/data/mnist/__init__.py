"""RotatedMNIST, ColoredMNIST, RotatedFashionMNIST from IDX files. Start from `variant_images`."""

from qtdog_tf.data.mnist.checksums import checksum_findings
from qtdog_tf.data.mnist.files import find_idx_files
from qtdog_tf.data.mnist.idx import IdxSource
from qtdog_tf.data.mnist.variants import MNIST_VARIANTS, VariantImage, variant_images

__all__ = [
    "MNIST_VARIANTS",
    "IdxSource",
    "VariantImage",
    "checksum_findings",
    "find_idx_files",
    "variant_images",
]
