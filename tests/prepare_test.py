"""Downloads become folders: each data set from its true archives."""

from pathlib import Path

import pytest

from qtdog_tf.data import read_folder
from qtdog_tf.data.catalog import (
    CATALOG,
    DOMAIN_NET,
    OFFICE_HOME,
    PACS,
    TERRA_INCOGNITA,
    VLCS,
    DataSetEntry,
)
from qtdog_tf.data.mnist import MNIST_VARIANTS, IdxSource, variant_images
from qtdog_tf.errors import UserError
from qtdog_tf.files import read_json
from qtdog_tf.prepare import PrepareSettings, prepare
from tests.downloads import KEEP_DUPLICATES, files_below, write_downloads, write_terra
from tests.idx_files import write_idx_files
from tests.layouts import below, picture, write_layout


@pytest.mark.parametrize("entry", [PACS, VLCS, OFFICE_HOME], ids=lambda e: e.name)
def test_archives_become_folders(entry: DataSetEntry, tmp_path: Path) -> None:
    output = tmp_path / "out"
    result = prepare(entry, write_downloads(entry, tmp_path / "down"), output)
    found = files_below(output)
    record = found.pop("prepared.json")
    assert found == below("", entry)
    assert b'"dataset"' in record
    assert (result.counts == 1).all() and (result.written, result.kept) == (len(found), 0)
    listing = read_folder(output)
    assert (listing.names, listing.classes) == (entry.domains, entry.classes)
    # Miniatures are of no known version, and each domain says by how much.
    assert result.version is None
    assert len(result.warnings) == len(entry.domains)
    assert f"{entry.counts[0].images[0]:,}" in result.warnings[0]


def test_domain_net_is_six_archives_without_duplicates(tmp_path: Path) -> None:
    folder, output = write_downloads(DOMAIN_NET, tmp_path / "down", classes=4), tmp_path / "out"
    with pytest.raises(UserError, match=r"without 9,431 duplicates: get domain_net_duplicates.txt"):
        prepare(DOMAIN_NET, folder, output)
    duplicates = ["real/aircraft_carrier/pic_001.jpg", "real/aircraft_carrier/not_there.jpg"]
    (tmp_path / "list.txt").write_text("\n".join([*duplicates, ""]))
    result = prepare(
        DOMAIN_NET, folder, output, PrepareSettings(duplicates=str(tmp_path / "list.txt"))
    )
    expected = below("", DOMAIN_NET, 4)
    del expected[duplicates[0]]
    found = files_below(output)
    del found["prepared.json"]
    assert found == expected
    assert "the list names 2 duplicates of real, not 2,380" in result.warnings
    assert any("domain sketch has no image of class" in w for w in result.warnings)
    (tmp_path / "list.txt").write_text("real/../../x.jpg\nPACS/x.jpg\n")
    with pytest.raises(UserError, match="line 1, is not <domain>/<class>/<image> of DomainNet"):
        prepare(DOMAIN_NET, folder, output, PrepareSettings(duplicates=str(tmp_path / "list.txt")))


def test_terra_comes_from_images_and_annotations(tmp_path: Path) -> None:
    images: dict[str, tuple[object, list[str]]] = {
        "a.jpg": (100, ["cat"]),
        "b.jpg": ("38", ["dog", "coyote"]),  # both
        "c.jpg": ("43", ["bird", "car"]),  # no class of the data set
        "d.jpg": (46, ["empty"]),
        "e.jpg": (7, ["cat"]),  # no location of the data set
        "f.jpg": ("46", ["car"]),
    }
    output = tmp_path / "out"
    result = prepare(TERRA_INCOGNITA, write_terra(tmp_path / "down", images), output)
    found = files_below(output)
    del found["prepared.json"]
    numbers = {"location_100/cat/a.jpg": 0, "location_38/dog/b.jpg": 1}
    numbers |= {"location_38/coyote/b.jpg": 1, "location_43/bird/c.jpg": 2}
    numbers |= {"location_46/empty/d.jpg": 3}
    assert found == {name: picture(i, "JPEG") for name, i in numbers.items()}
    assert not any("annotations name" in warning for warning in result.warnings)


@pytest.mark.parametrize("name", MNIST_VARIANTS)
def test_variants_of_mnist_become_png(name: str, tmp_path: Path) -> None:
    folder, output = write_idx_files(tmp_path / "idx"), tmp_path / "out"
    settings = PrepareSettings(seed=2, resampling="bicubic")
    result = prepare(CATALOG[name], folder, output, settings)
    made = variant_images(name, IdxSource.open(folder), seed=2, resampling="bicubic")
    found = files_below(output)
    del found["prepared.json"]
    assert found == {f"{i.domain}/{i.kind}/{i.name}": i.png for i in made}
    assert sum("SHA-256 is known" in warning for warning in result.warnings) == 4


def test_what_was_unpacked_already_is_read_too(tmp_path: Path) -> None:
    layouts = (
        (PACS, "kfold", PrepareSettings()),
        (DOMAIN_NET, "", KEEP_DUPLICATES),
        (TERRA_INCOGNITA, "", PrepareSettings()),
    )
    for entry, inside, settings in layouts:
        root = write_layout(tmp_path / entry.name / inside, entry)
        output = tmp_path / f"{entry.name}_out"
        result = prepare(entry, tmp_path / entry.name, output, settings)
        found = files_below(output)
        del found["prepared.json"]
        assert found == files_below(root)
        assert result.counts.sum() == len(found)
    # One of six unpacked, the others not.
    down = write_downloads(DOMAIN_NET, tmp_path / "down", classes=2)
    (down / "real.zip").unlink()
    write_layout(tmp_path / "two", DOMAIN_NET, 2, 1)
    (tmp_path / "two/real").rename(down / "real")
    assert prepare(DOMAIN_NET, down, tmp_path / "mixed", KEEP_DUPLICATES).counts[:, :2].all()


def test_the_right_counts_are_recognised(tmp_path: Path) -> None:
    small = DataSetEntry(
        **{
            **{f: getattr(PACS, f) for f in PACS.__dataclass_fields__},
            "counts": (type(PACS.counts[0])("miniature", (7, 7, 7, 7)),),
        }
    )
    down = write_downloads(PACS, tmp_path / "down")
    result = prepare(small, down, tmp_path / "out", PrepareSettings(strict=True))
    assert (result.version, result.warnings) == ("miniature", ())
    assert read_json(tmp_path / "out/prepared.json")["version"] == "miniature"
