"""RotatedMNIST, ColoredMNIST and RotatedFashionMNIST, made from the IDX files.

The files are those in TFDS' `manual_dir` if they are there, else they are downloaded and their
SHA-256 compared with TFDS' records. The seed of the permutation and of the noise is 0, rotation is
bilinear; `tools.prepare` writes folders of other seeds.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from qtdog_tf.data.catalog import COLORED_MNIST, ROTATED_FASHION_MNIST, ROTATED_MNIST
from qtdog_tf.data.catalog.digit_sets import IDX_FILES
from qtdog_tf.data.mnist import IdxSource, find_idx_files, variant_images
from qtdog_tf.datasets.domain_builder import DomainBuilder, split_name

_MNIST_URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"
_FASHION_MNIST_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"


class MnistBuilder(DomainBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Builds a variant of MNIST."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = "manual_dir holds " + ", ".join(IDX_FILES.values())
    url: ClassVar[str] = _MNIST_URL

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        source = IdxSource.of_files(self._files(dl_manager))
        return {
            split_name(domain): self._generate_examples(source, domain)
            for domain in self.entry.domains
        }

    def _files(self, dl_manager: Any) -> dict[str, Path]:
        try:
            folder = Path(dl_manager.manual_dir)
        except AssertionError:  # TFDS' way to say that it does not exist or is empty
            urls = {part: self.url + name for part, name in IDX_FILES.items()}
            return {part: Path(path) for part, path in dl_manager.download(urls).items()}
        return find_idx_files(folder)

    def _generate_examples(
        self, source: IdxSource, domain: str
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for image in variant_images(self.entry.name, source, domain=domain):
            yield (
                int(Path(image.name).stem),
                {"image": io.BytesIO(image.png), "label": image.kind, "filename": image.name},
            )


class RotatedMnist(MnistBuilder):
    """RotatedMNIST, `tfds.load("rotated_mnist")`: splits 0, 15, 30, 45, 60, 75."""

    entry = ROTATED_MNIST


class ColoredMnist(MnistBuilder):
    """ColoredMNIST, `tfds.load("colored_mnist")`: splits flip10, flip20, flip90."""

    entry = COLORED_MNIST


class RotatedFashionMnist(MnistBuilder):
    """RotatedFashionMNIST, `tfds.load("rotated_fashion_mnist")`: splits as RotatedMNIST's."""

    entry = ROTATED_FASHION_MNIST
    url = _FASHION_MNIST_URL
