"""The data sets of the catalogue for TensorFlow Datasets (TFDS): importing this registers them.

    import tensorflow_datasets as tfds

    import qtdog_tf.datasets

    config = tfds.download.DownloadConfig(manual_dir="downloads/PACS")
    sketches = tfds.load(
        "pacs", split="sketch", download_and_prepare_kwargs={"download_config": config}
    )

A split is a domain. An example has an image, a label and the file name, on which DomainBed's splits
rest: `open_domains("tfds:pacs")` gives the same domains as the folder itself.
"""

from qtdog_tf.datasets.folder_sets import VLCS, DomainNet, OfficeHome, Pacs, TerraIncognita
from qtdog_tf.datasets.mnist_sets import ColoredMnist, RotatedFashionMnist, RotatedMnist

__all__ = [
    "VLCS",
    "ColoredMnist",
    "DomainNet",
    "OfficeHome",
    "Pacs",
    "RotatedFashionMnist",
    "RotatedMnist",
    "TerraIncognita",
]
