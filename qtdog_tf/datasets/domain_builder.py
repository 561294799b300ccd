"""What the builders of this package share: features, and one split a domain."""

from typing import Any, ClassVar

import tensorflow_datasets as tfds

from qtdog_tf.data.catalog import DataSetEntry


def split_name(domain: str) -> str:
    """The split of a domain; TFDS allows letters, digits, "_" and "-" in its name."""
    return domain.replace(" ", "_")


class DomainBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Builds one data set of the catalogue; a subclass says where examples come from."""

    VERSION = tfds.core.Version("1.0.0")
    # Finding it, TFDS 4.9.10 imports importlib_resources, which it does not require. Only a list of
    # checksums beside the code would be looked for there.
    code_path: ClassVar[None] = None
    entry: ClassVar[DataSetEntry]

    def _info(self) -> Any:
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=self.entry.classes),
            "filename": tfds.features.Text(doc="Unique among the images of one class and domain."),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.entry.described(),
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
            # The order of files is that of the generators, the same on every machine.
            disable_shuffling=True,
        )
