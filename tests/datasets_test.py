"""TFDS builders of the catalogue on miniatures: splits, labels, bytes, the same as folders."""

import importlib.resources.abc
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import tensorflow_datasets as tfds

import qtdog_tf.datasets
from qtdog_tf.data import open_domains, read_folder
from qtdog_tf.data.catalog import CATALOG, DOMAIN_NET, OFFICE_HOME, PACS
from qtdog_tf.data.mnist import MNIST_VARIANTS, IdxSource, variant_images
from qtdog_tf.datasets.folder_sets import read_layout
from qtdog_tf.errors import UserError
from tests.idx_files import write_idx_files
from tests.layouts import picture, write_layout

FOLDERS = [name for name in CATALOG if name not in MNIST_VARIANTS]


def load(name: str, split: str, folder: Path, manual_dir: Path) -> list[dict]:
    config = tfds.download.DownloadConfig(manual_dir=str(manual_dir))
    dataset = tfds.load(
        name,
        split=split,
        data_dir=str(folder),
        download_and_prepare_kwargs={"download_config": config},
    )
    return list(dataset.as_numpy_iterator())


@pytest.mark.parametrize("name", FOLDERS)
def test_a_layout_is_loaded_by_split(name: str, tmp_path: Path) -> None:
    entry = CATALOG[name]
    # With and without the folder that DomainBed looks for.
    inside = "" if name == "vlcs" else entry.folder
    root = write_layout(tmp_path / "manual" / inside, entry)
    split = entry.domains[-1].replace(" ", "_")
    examples = load(name, split, tmp_path / "tfds", tmp_path / "manual")
    assert [e["filename"] for e in examples] == [b"pic_001.jpg", b"pic_002.jpg"] * 3
    assert [e["label"] for e in examples] == [0, 0, 1, 1, 2, 2]
    assert examples[0]["image"].shape == (6, 8, 3)
    again = tfds.load(name, split=split, data_dir=str(tmp_path / "tfds"), download=False)
    assert len(again) == len(examples)
    # Prepared, it is the same data set as the folder: files, their bytes and so the splits.
    prepared = open_domains(f"tfds:{name}:{tmp_path / 'tfds'}", tmp_path / "cache")
    folder = read_folder(root)
    assert prepared.names == tuple(n.replace(" ", "_") for n in folder.names)
    for one, other in zip(prepared.domains, folder.domains, strict=True):
        np.testing.assert_array_equal(one.labels, other.labels)
        for path, original in zip(one.paths, other.paths, strict=True):
            assert Path(path).name == Path(original).name
            assert Path(path).read_bytes() == Path(original).read_bytes()


@pytest.mark.parametrize("name", MNIST_VARIANTS)
def test_a_variant_of_mnist_is_loaded_by_split(name: str, tmp_path: Path) -> None:
    write_idx_files(tmp_path / "manual")
    entry = CATALOG[name]
    domain = entry.domains[1]
    examples = load(name, domain, tmp_path / "tfds", tmp_path / "manual")
    source = IdxSource.open(tmp_path / "manual")
    made = list(variant_images(name, source, domain=domain))
    assert [e["filename"].decode() for e in examples] == [image.name for image in made]
    assert [entry.classes[e["label"]] for e in examples] == [image.kind for image in made]
    prepared = open_domains(f"tfds:{name}:{tmp_path / 'tfds'}", tmp_path / "cache")
    assert prepared.names == entry.domains
    assert {Path(p).read_bytes() for p in prepared.domain(domain).paths} == {
        image.png for image in made
    }


def test_files_of_mnist_are_downloaded_if_no_folder_holds_them(tmp_path: Path) -> None:
    write_idx_files(tmp_path / "server")
    builder = qtdog_tf.datasets.RotatedFashionMnist(data_dir=str(tmp_path / "tfds"))
    asked: dict[str, str] = {}

    def download(_: object, urls: dict[str, str]) -> dict[str, Path]:
        asked.update(urls)
        return {part: tmp_path / "server" / url.split("/")[-1] for part, url in urls.items()}

    with mock.patch.object(tfds.download.DownloadManager, "download", download):
        builder.download_and_prepare()
    assert builder.info.splits["75"].num_examples == 13
    # TFDS has a checksum on record for each of them.
    lines = (Path(tfds.__file__).parent / "url_checksums/fashion_mnist.txt").read_text()
    assert set(asked.values()) == {line.split()[0] for line in lines.splitlines()}


def test_the_domainnet_of_tfds_is_read_too(tmp_path: Path) -> None:
    """Its configs are the domains; images of its splits train and test are together."""
    numbers = iter(range(100))

    def extract(_: object, url: str) -> Path:
        domain = Path(url).stem
        for kind in ("zebra", "The_Eiffel_Tower"):
            for part in ("train", "test"):
                path = tmp_path / "img" / domain / kind / f"{part}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(picture(next(numbers), "JPEG"))
        return tmp_path / "img"

    def download(_: object, urls: dict[str, str]) -> dict[str, Path]:
        lists = {}
        for part, url in urls.items():
            domain = Path(url).name.removesuffix(f"_{part}.txt")
            lists[part] = tmp_path / Path(url).name
            # Numbers of classes in the order of TFDS, which is not that of DomainBed.
            names = f"{domain}/zebra/{part}.jpg 343\n{domain}/The_Eiffel_Tower/{part}.jpg 308\n"
            lists[part].write_text(names)
        return lists

    manager = tfds.download.DownloadManager
    with (
        # See DomainBuilder.code_path.
        mock.patch.object(tfds.core.dataset_builder, "importlib_resources", importlib.resources),
        mock.patch.object(manager, "download_and_extract", extract),
        mock.patch.object(manager, "download", download),
    ):
        for domain in DOMAIN_NET.domains:
            tfds.builder(f"domainnet/{domain}", data_dir=tmp_path / "d").download_and_prepare()
    listing = open_domains(f"tfds:domainnet:{tmp_path / 'd'}", tmp_path / "cache")
    assert (listing.names, listing.classes) == (DOMAIN_NET.domains, DOMAIN_NET.classes)
    for domain in listing.domains:
        assert [listing.classes[i] for i in domain.labels] == ["The_Eiffel_Tower"] * 2 + [
            "zebra"
        ] * 2
        for path, kind in zip(domain.paths[::2], ("The_Eiffel_Tower", "zebra"), strict=True):
            original = tmp_path / "img" / domain.name / kind / "test.jpg"
            assert Path(path).read_bytes() == original.read_bytes()


def test_nothing_is_loaded_before_it_is_prepared(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="Dataset pacs: could not find data"):
        tfds.load("pacs", split="sketch", data_dir=str(tmp_path), download=False)
    with pytest.raises(UserError, match="pacs is not prepared"):
        open_domains(f"tfds:pacs:{tmp_path}", tmp_path)


def test_a_missing_folder_is_explained(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"(?s)tools\.prepare.*art_painting 2,048"):
        load("pacs", "sketch", tmp_path, tmp_path / "manual")


def test_missing_domains_and_unknown_classes_are_refused(tmp_path: Path) -> None:
    root = write_layout(tmp_path / "PACS", PACS)
    (root / "photo/zebra").mkdir()
    assert read_layout(tmp_path, PACS).names == PACS.domains
    (root / "photo/dog/pic_001.jpg").rename(root / "photo/zebra/pic_001.jpg")
    with pytest.raises(UserError, match=r"class zebra, which PACS does not have"):
        read_layout(tmp_path, PACS)
    (root / "photo").rename(tmp_path / "photo")
    (root / "cartoon").rename(root / "comics")
    with pytest.raises(UserError, match=r"lacks cartoon, photo of PACS, whose domains are art_p"):
        read_layout(tmp_path, PACS)


def test_other_folders_beside_the_domains_are_left_out(tmp_path: Path) -> None:
    root = write_layout(tmp_path, OFFICE_HOME)
    (root / "__MACOSX/Art").mkdir(parents=True)
    assert read_layout(tmp_path, OFFICE_HOME).names == OFFICE_HOME.domains
