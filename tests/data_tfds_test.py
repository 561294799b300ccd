"""Data sets of TensorFlow Datasets, made here: splits as domains, configs as domains, ids."""

import io
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from qtdog_tf.data import open_domains, read_folder
from qtdog_tf.data.tfds_sets import _safe, read_tfds
from qtdog_tf.errors import UserError

STYLES = ("ink", "oil")
CLASSES = ("cat", "ape/monkey")


def encoded(number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (6, 5), (number, 2 * number, 3)).save(file, "PNG")
    return file.getvalue()


class Styles(tfds.core.GeneratorBasedBuilder):
    """Two styles as splits; examples are named so that TFDS' order is not ours."""

    VERSION = tfds.core.Version("1.0.0")
    id_feature = ("image/filename", tfds.features.Text())

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
            "label": tfds.features.ClassLabel(names=CLASSES),
            self.id_feature[0]: self.id_feature[1],
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager: object) -> dict:
        return {style: self._generate_examples(10 * i) for i, style in enumerate(STYLES)}

    def identity(self, number: int) -> object:
        return f"folder/{number}.PNG"

    def _generate_examples(self, start: int) -> object:
        for number in range(start, start + 8):
            example = {"image": io.BytesIO(encoded(number)), "label": number % 2}
            yield number, {**example, self.id_feature[0]: self.identity(number)}


class Numbered(Styles):
    id_feature = ("id", tfds.features.Scalar(np.int64))

    def identity(self, number: int) -> object:
        return 12 - number


class Nameless(Styles):
    id_feature = ("weight", tfds.features.Scalar(np.int64))

    def identity(self, number: int) -> object:
        return number


class Repeated(Styles):
    def identity(self, number: int) -> object:
        return "same.png"


class Seasons(Styles):
    """Two seasons as configs, each with the two splits."""

    BUILDER_CONFIGS: ClassVar = [
        tfds.core.BuilderConfig(name=season, version="1.0.0") for season in ("summer", "winter")
    ]


def prepared(builder_class: type[Styles], folder: Path) -> tfds.core.DatasetBuilder:
    builder = builder_class(data_dir=str(folder))
    builder.download_and_prepare()
    return builder


def test_splits_are_domains_sorted_by_class_and_file_name(tmp_path: Path) -> None:
    domain_set = read_tfds(prepared(Styles, tmp_path / "tfds"), tmp_path / "cache")
    assert domain_set.names == STYLES
    assert domain_set.classes == ("ape%2Fmonkey", "cat")
    oil = domain_set.domain("oil")
    assert [Path(path).name for path in oil.paths] == [
        f"folder%2F{number}.PNG" for number in (11, 13, 15, 17, 10, 12, 14, 16)
    ]
    np.testing.assert_array_equal(oil.labels, [0] * 4 + [1] * 4)
    # The bytes are those of the data set, not decoded and encoded again.
    assert Path(oil.paths[0]).read_bytes() == encoded(11)


def test_files_are_written_once_and_nothing_else_is_left(tmp_path: Path) -> None:
    builder = prepared(Styles, tmp_path / "tfds")
    first = read_tfds(builder, tmp_path / "cache")
    changed = Path(first.domains[0].paths[0])
    changed.write_bytes(b"mine")
    again = read_tfds(builder, tmp_path / "cache")
    assert again.domains[0].paths == first.domains[0].paths
    assert changed.read_bytes() == b"mine"
    assert len(list((tmp_path / "cache/tfds").iterdir())) == 1
    other = read_tfds(prepared(Styles, tmp_path / "elsewhere"), tmp_path / "cache")
    assert other.root != first.root


def test_numbers_keep_their_order(tmp_path: Path) -> None:
    domain_set = read_tfds(prepared(Numbered, tmp_path / "tfds"), tmp_path / "cache")
    names = [Path(path).name for path in domain_set.domain("ink").paths]
    assert names == [f"{i:010d}.png" for i in (5, 7, 9, 11, 6, 8, 10, 12)]


def test_builders_may_be_the_domains(tmp_path: Path) -> None:
    builders = {
        "new": prepared(Styles, tmp_path / "tfds"),
        "old": prepared(Numbered, tmp_path / "tfds"),
    }
    domain_set = read_tfds(builders, tmp_path / "cache", name="both")
    assert domain_set.name == "both"
    assert domain_set.names == ("new", "old")
    assert [len(domain) for domain in domain_set.domains] == [16, 16]


def test_examples_without_a_name_are_refused(tmp_path: Path) -> None:
    builder = prepared(Nameless, tmp_path / "tfds")
    with pytest.raises(UserError, match=r"no file name or id.*features are image, label, weight"):
        read_tfds(builder, tmp_path / "cache")


def test_names_that_do_not_identify_are_refused_and_nothing_stays(tmp_path: Path) -> None:
    builder = prepared(Repeated, tmp_path / "tfds")
    with pytest.raises(UserError, match=r"image/filename 'same' occurs twice in one class"):
        read_tfds(builder, tmp_path / "cache")
    assert list((tmp_path / "cache/tfds").iterdir()) == []


def test_unprepared_and_unknown_data_sets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="styles is not prepared"):
        read_tfds(Styles(data_dir=str(tmp_path)), tmp_path / "cache")
    with pytest.raises(UserError, match="has no 'no_such_data_set'"):
        open_domains(f"tfds:no_such_data_set:{tmp_path}", tmp_path)


def test_a_prepared_data_set_is_opened_by_name(tmp_path: Path) -> None:
    prepared(Styles, tmp_path / "tfds")
    domain_set = open_domains(f"tfds:styles:{tmp_path / 'tfds'}", tmp_path / "cache")
    assert domain_set.name == "styles"
    assert len(domain_set) == 16


def test_configs_are_domains_unless_one_is_chosen(tmp_path: Path) -> None:
    for season in ("summer", "winter"):
        builder = Seasons(config=season, data_dir=str(tmp_path / "tfds"))
        builder.download_and_prepare()
    both = open_domains(f"tfds:seasons:{tmp_path / 'tfds'}", tmp_path / "cache")
    assert both.names == ("summer", "winter")
    assert [len(domain) for domain in both.domains] == [16, 16]
    one = open_domains(f"tfds:seasons/winter:{tmp_path / 'tfds'}", tmp_path / "cache")
    assert one.names == STYLES


def test_image_folder_is_read_in_place(tmp_path: Path) -> None:
    for name in ("a/cat/2.png", "a/cat/1.jpg", "b/dog/3.webp", "b/cat/4.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)
    domain_set = read_tfds(tfds.folder_dataset.ImageFolder(str(tmp_path)), tmp_path / "cache")
    assert [d.paths for d in domain_set.domains] == [d.paths for d in read_folder(tmp_path).domains]
    assert [len(d) for d in domain_set.domains] == [2, 2]


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", ".hidden", "a\0b", "", "é" * 300, "a\\b"])
def test_any_name_becomes_one_visible_file_name(name: str, tmp_path: Path) -> None:
    safe = _safe(name)
    assert Path(safe).name == safe
    assert not safe.startswith(".")
    (tmp_path / safe).touch()


def test_different_names_stay_different() -> None:
    names = ["a/b", "a%2Fb", "a%b", ".a", "%2Ea", "", "%", "é" * 300, "é" * 301]
    assert len({_safe(name) for name in names}) == len(names)
