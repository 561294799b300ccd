"""What a person gets told when downloads are missing, incomplete or broken."""

from pathlib import Path

import pytest

from qtdog_tf.data.catalog import (
    DOMAIN_NET,
    PACS,
    TERRA_INCOGNITA,
    VLCS,
)
from qtdog_tf.errors import UserError
from qtdog_tf.prepare import PrepareSettings, prepare
from tests.downloads import KEEP_DUPLICATES, write_downloads, write_terra
from tests.layouts import below, cct_annotations, picture, write_tar, write_zip


def test_terra_says_what_its_archives_lack(tmp_path: Path) -> None:
    images = {f"{i}.jpg": (i, ["cat"]) for i in (38, 43, 46, 100)}
    folder = write_terra(tmp_path / "down", images)
    files = {f"x/{name}": picture(1, "JPEG") for name in images if name != "43.jpg"}
    write_tar(folder / "eccv_18_all_images_sm.tar.gz", files)
    with pytest.raises(UserError, match=r"out is not made: domain location_43 has no image;"):
        prepare(TERRA_INCOGNITA, folder, tmp_path / "out")
    images["101.jpg"] = (100, ["cat"])
    write_terra(folder, images)
    write_tar(
        folder / "eccv_18_all_images_sm.tar.gz",
        {f"x/{name}": picture(1, "JPEG") for name in images if name != "101.jpg"},
    )
    result = prepare(TERRA_INCOGNITA, folder, tmp_path / "out")
    lack = "eccv_18_all_images_sm.tar.gz lacks images that the annotations name: 101.jpg"
    assert lack in result.warnings


@pytest.mark.parametrize(
    ("contents", "sentence"),
    [
        (b"{", "is no annotation of CCT-20"),
        (b"[" * 100_000, "is no annotation of CCT-20"),
        (b'{"categories": 1, "images": [], "annotations": []}', "is no annotation of CCT-20"),
        (b'{"categories": [], "images": []}', "is no annotation of CCT-20"),
        (None, "lacks cis_val_annotations.json: get it again"),
    ],
)
def test_broken_annotations_are_refused(
    tmp_path: Path, contents: bytes | None, sentence: str
) -> None:
    folder = write_terra(tmp_path / "down", {"a.jpg": (100, ["cat"])})
    files = cct_annotations({"a.jpg": (100, ["cat"])})
    name = "eccv_18_annotation_files/cis_val_annotations.json"
    if contents is None:
        del files[name]
    else:
        files[name] = contents
    write_tar(folder / "eccv_18_annotations.tar.gz", files)
    with pytest.raises(UserError, match=sentence):
        prepare(TERRA_INCOGNITA, folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_and_ambiguous_downloads_are_named(tmp_path: Path) -> None:
    down = write_downloads(DOMAIN_NET, tmp_path / "down", classes=1)
    (down / "real.zip").unlink()
    (down / "infograph.zip").unlink()
    with pytest.raises(UserError, match=r"lacks infograph.zip, real.zip of DomainNet: get it from"):
        prepare(DOMAIN_NET, down, tmp_path / "out", KEEP_DUPLICATES)
    write_zip(down / "pacs.zip", {})
    write_zip(down / "PACS (1).zip", {})
    with pytest.raises(UserError, match=r"PACS \(1\).zip and pacs.zip .* could each be PACS.zip"):
        prepare(PACS, down, tmp_path / "out")
    with pytest.raises(UserError, match="is no folder; it holds VLCS.tar.gz"):
        prepare(VLCS, tmp_path / "nowhere", tmp_path / "out")
    # Nothing but the lock.
    assert sorted(p.name for p in tmp_path.iterdir()) == [".out.lock", "down"]


def test_missing_domains_are_refused_and_missing_classes_named(tmp_path: Path) -> None:
    files = below("kfold/", PACS)
    partly = {n: c for n, c in files.items() if "/photo/" not in n and "/cartoon/dog/" not in n}
    partly["kfold/cartoon/zebra/1.jpg"] = partly["kfold/readme.png"] = b"x"
    write_zip(tmp_path / "PACS.zip", partly)
    with pytest.raises(UserError, match=r"out is not made: domain photo has no image; get what"):
        prepare(PACS, tmp_path, tmp_path / "out")
    partly["kfold/photo/dog/1.jpg"] = b"x"
    write_zip(tmp_path / "PACS.zip", partly)
    result = prepare(PACS, tmp_path, tmp_path / "out")
    assert "domain cartoon has no image of class dog" in result.warnings
    lines = [warning for warning in result.warnings if "left out" in warning]
    assert lines == [
        "2 images left out, in no domain and class, for example 'kfold/cartoon/zebra/1.jpg'"
    ]
    with pytest.raises(UserError, match=r"strict is not made: 2 images left out, .*; domain cart"):
        prepare(PACS, tmp_path, tmp_path / "strict", PrepareSettings(strict=True))


def test_an_empty_image_and_two_of_one_place_are_refused(tmp_path: Path) -> None:
    write_zip(tmp_path / "a/PACS.zip", {**below("kfold/", PACS), "kfold/photo/dog/2.jpg": b""})
    with pytest.raises(UserError, match="'?kfold/photo/dog/2.jpg'? is empty"):
        prepare(PACS, tmp_path / "a", tmp_path / "out")
    twice = {**below("kfold/", PACS), **below("copy/", PACS)}
    write_zip(tmp_path / "b/PACS.zip", twice)
    with pytest.raises(UserError, match=r"art_painting/dog/pic_001.jpg is there twice"):
        prepare(PACS, tmp_path / "b", tmp_path / "out")


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    files = {**below("kfold/", PACS), f"kfold/photo/dog/{'x' * 260}.jpg": b"x"}
    write_zip(tmp_path / "PACS.zip", files)
    with pytest.raises(UserError, match=r"xx.jpg' is longer than the 255 bytes"):
        prepare(PACS, tmp_path, tmp_path / "out")


def test_archives_are_compared_with_a_list_of_checksums(tmp_path: Path) -> None:
    down = write_downloads(PACS, tmp_path / "down")
    sums = tmp_path / "SHA256SUMS"
    settings = PrepareSettings(checksums=str(sums))
    with pytest.raises(UserError, match="SHA256SUMS cannot be read"):
        prepare(PACS, down, tmp_path / "out", settings)
    sums.write_text(f"{'0' * 64}  PACS.zip\n")
    with pytest.raises(UserError, match=r"PACS.zip is not the file that .*SHA256SUMS names"):
        prepare(PACS, down, tmp_path / "out", settings)
    sums.write_text("nonsense\n")
    with pytest.raises(UserError, match="line 1, is not as sha256sum writes it"):
        prepare(PACS, down, tmp_path / "out", settings)
    sums.write_text(f"{'0' * 64} *other.zip\n")
    assert any(
        "does not name PACS.zip" in w
        for w in prepare(PACS, down, tmp_path / "out", settings).warnings
    )
