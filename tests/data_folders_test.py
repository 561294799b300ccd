"""The listing of a folder, the embedded data set, and how a data set is named."""

import multiprocessing
import os
import re
from pathlib import Path

import numpy as np
import pytest

from qtdog_tf.data import embedded
from qtdog_tf.data.archive import pack_folder
from qtdog_tf.data.domains import Domain
from qtdog_tf.data.embedded import emoji_styles_root
from qtdog_tf.data.folders import read_folder
from qtdog_tf.data.sources import open_domains
from qtdog_tf.errors import UserError

COUNTS = {"flat": 608, "gradient": 608, "line": 605, "render3d": 595}


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_images_are_sorted_by_class_then_file_name(tmp_path: Path) -> None:
    touch(tmp_path, "b/cat/2.PNG", "b/cat/10.jpeg", "b/Ant/z.webp", "a/cat/x.gif", "a/cat/w.bmp")
    domain_set = read_folder(tmp_path)
    assert domain_set.names == ("a", "b")
    assert domain_set.classes == ("Ant", "cat")
    assert [os.path.relpath(p, tmp_path) for p in domain_set.domain("b").paths] == [
        "b/Ant/z.webp",
        "b/cat/10.jpeg",
        "b/cat/2.PNG",
    ]
    np.testing.assert_array_equal(domain_set.domain("b").labels, [0, 1, 1])
    np.testing.assert_array_equal(domain_set.domain("a").labels, [1, 1])
    assert len(domain_set) == 5
    assert domain_set.env_index("b") == 1


def test_hidden_and_other_files_are_left_out(tmp_path: Path) -> None:
    touch(
        tmp_path, "a/c/1.jpg", "a/c/.2.jpg", "a/c/notes.txt", "a/.git/3.jpg", ".d/c/4.jpg", "x.jpg"
    )
    (tmp_path / "a/c/folder.png").mkdir()
    domain_set = read_folder(tmp_path)
    assert domain_set.names == ("a",)
    assert domain_set.classes == ("c",)
    assert [Path(p).name for p in domain_set.domain("a").paths] == ["1.jpg"]


def test_labels_cannot_be_changed(tmp_path: Path) -> None:
    touch(tmp_path, "a/c/1.jpg")
    with pytest.raises(ValueError, match="read-only"):
        read_folder(tmp_path).domains[0].labels[0] = 1
    with pytest.raises(ValueError, match="labels of shape"):
        Domain("a", ("x", "y"), np.zeros(3))


def test_fingerprint_follows_names_not_places(tmp_path: Path) -> None:
    touch(tmp_path / "one", "a/c/1.jpg", "a/c/2.jpg")
    touch(tmp_path / "two", "a/c/1.jpg", "a/c/2.jpg")
    touch(tmp_path / "three", "a/c/1.jpg", "a/c/3.jpg")
    one, two, three = (read_folder(tmp_path / n).fingerprint() for n in ("one", "two", "three"))
    assert one == two != three


def test_an_unknown_domain_is_refused_with_those_that_exist(tmp_path: Path) -> None:
    touch(tmp_path, "art/c/1.jpg", "photo/c/1.jpg")
    with pytest.raises(UserError, match=r"no domain 'sketch'.*art, photo"):
        read_folder(tmp_path).domain("sketch")


def test_folders_of_another_shape_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_folder(tmp_path / "none")
    with pytest.raises(UserError, match="holds no domains"):
        read_folder(tmp_path)
    touch(tmp_path, "cat/1.jpg", "file")
    with pytest.raises(UserError, match=r"lie directly in .*cat, so a level is missing"):
        read_folder(tmp_path)
    with pytest.raises(UserError, match="is not a folder"):
        read_folder(tmp_path / "file")
    touch(tmp_path / "text", "a/b/c.txt")
    with pytest.raises(UserError, match=r"images end in \.bmp"):
        read_folder(tmp_path / "text")
    with pytest.raises(UserError, match="no data named"):
        open_domains("")


@pytest.mark.parametrize("name", [b"caf\xe9", b"cat\n", b"\x1b[2Jcat", b"cat\x7f"])
@pytest.mark.parametrize("level", ["domain", "class"])
def test_names_that_are_no_text_are_refused(name: bytes, level: str, tmp_path: Path) -> None:
    touch(tmp_path, "a/c/1.jpg", "caf\u00e9/\u732b/1.jpg")
    assert read_folder(tmp_path).names == ("a", "caf\u00e9")
    place = tmp_path if level == "domain" else tmp_path / "a"
    (place / os.fsdecode(name)).mkdir()
    sentence = f"data folder {place} holds a folder {os.fsdecode(name)!r}, whose name is not UTF-8"
    with pytest.raises(UserError, match=re.escape(sentence)) as error:
        read_folder(tmp_path)
    assert str(error.value).isprintable()


def test_embedded_data_set(tmp_path: Path) -> None:
    domain_set = open_domains("emoji_styles", tmp_path)
    assert {d.name: len(d) for d in domain_set.domains} == COUNTS
    assert len(domain_set.classes) == 11
    assert domain_set.name == "emoji_styles"
    assert all(d.labels.max() == 10 and d.labels.min() == 0 for d in domain_set.domains)
    attributions = (emoji_styles_root(tmp_path) / "ATTRIBUTIONS.md").read_text()
    beside = Path(embedded.__file__).with_name("emoji_styles_ATTRIBUTIONS.md").read_text()
    assert attributions == beside
    assert all(licence in beside for licence in ("CC-BY-4.0", "Apache License", "MIT License"))


def test_embedded_archive_is_reproducible(tmp_path: Path) -> None:
    root = emoji_styles_root(tmp_path)
    pack_folder(root, tmp_path / "again.zip")
    shipped = Path(embedded.__file__).with_name("emoji_styles.zip")
    assert (tmp_path / "again.zip").read_bytes() == shipped.read_bytes()


def test_damaged_unpacked_copy_is_replaced_and_no_leftovers_stay(tmp_path: Path) -> None:
    root = emoji_styles_root(tmp_path)
    image = next(root.glob("flat/face/*.png"))
    whole = image.read_bytes()
    image.write_bytes(whole[:100])
    next(root.glob("line/face/*.png")).unlink()
    abandoned = tmp_path / f".{root.name}-abandoned"
    abandoned.mkdir()
    os.utime(abandoned, (0, 0))
    assert emoji_styles_root(tmp_path) == root
    assert image.read_bytes() == whole
    assert [p.name for p in tmp_path.iterdir()] == [root.name]


def test_several_processes_may_unpack_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(3) as pool:
        roots = pool.map(emoji_styles_root, [str(tmp_path)] * 6)
    assert len(set(roots)) == 1
    assert len(read_folder(roots[0])) == sum(COUNTS.values())
    assert [p.name for p in tmp_path.iterdir()] == [roots[0].name]


def test_damaged_archive_and_unwritable_cache_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setenv(embedded.CACHE_VARIABLE, str(blocked))
    with pytest.raises(UserError, match="set QTDOG_TF_CACHE to a folder"):
        emoji_styles_root()
    monkeypatch.setattr(embedded, "ARCHIVE_SHA256", "0" * 64)
    with pytest.raises(UserError, match=r"emoji_styles.zip is damaged"):
        emoji_styles_root()
