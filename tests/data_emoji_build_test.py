"""Rebuilding emoji_styles from packages: made-up packages here, hostile ones among them."""

import hashlib
import io
import json
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qtdog_tf.data import emoji_packages, open_domains, read_folder
from qtdog_tf.data.emoji_build import build_emoji_styles, frame_drawing
from qtdog_tf.data.emoji_packages import (
    PACKAGES,
    EmojiPackage,
    read_drawings,
    read_package,
    svg_text,
)
from qtdog_tf.errors import UserError

ICONS = {
    "width": 32,
    "height": 32,
    "icons": {"left": {"body": "<left/>"}, "wide": {"body": "<wide/>", "width": 48}},
    "aliases": {
        "right": {"parent": "left", "hFlip": True},
        "left-again": {"parent": "right", "hFlip": True},
        "loop": {"parent": "pool"},
        "pool": {"parent": "loop"},
        "turned": {"parent": "left", "rotate": 1},
    },
}


def webp() -> bytes:
    file = io.BytesIO()
    Image.new("RGBA", (8, 8), (0, 0, 255, 255)).save(file, "WEBP", lossless=True)
    return file.getvalue()


def a_package(folder: Path, domain: str, files: dict[str, bytes]) -> EmojiPackage:
    path = folder / f"set-{domain}-1.0.0.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, contents in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(contents)
            archive.addfile(member, io.BytesIO(contents))
    return EmojiPackage(domain, f"@set/{domain}", "1.0.0", hash_of(path))


def hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def packages(tmp_path: Path) -> tuple[EmojiPackage, ...]:
    icons = json.dumps(ICONS).encode()
    other = {"icons": {"right": {"body": "<other/>"}}, "width": 16, "height": 16}
    return (
        a_package(
            tmp_path,
            "line",
            {"package/icons.json": icons, "package/chars.json": b'{"1f448": "left"}'},
        ),
        a_package(
            tmp_path,
            "flat",
            {
                "package/icons.json": json.dumps(other).encode(),
                "package/chars.json": b'{"1f449-fe0f": "right"}',
            },
        ),
        a_package(
            tmp_path,
            "solid",
            {"package/assets/1f448.webp": webp(), "package/assets/LICENSE": b"x"},
        ),
    )


def test_drawings_are_found_by_code_point_or_by_another_sets_name(
    tmp_path: Path, packages: tuple[EmojiPackage, ...]
) -> None:
    drawings = read_drawings(tmp_path, packages)
    assert set(drawings["line"]) == {"1f448", "1f449"}
    assert set(drawings["flat"]) == {"1f449"}
    assert drawings["solid"] == {"1f448": webp()}
    assert 'viewBox="0 0 32 32"><left/></svg>' in str(drawings["line"]["1f448"])
    assert '<g transform="translate(32 0) scale(-1 1)"><left/></g>' in str(
        drawings["line"]["1f449"]
    )


def test_aliases_are_followed() -> None:
    assert svg_text(ICONS, "left-again") == svg_text(ICONS, "left")
    assert 'width="48" height="32"' in str(svg_text(ICONS, "wide"))
    assert svg_text(ICONS, "unknown") is None
    assert svg_text(ICONS, "loop") is None
    with pytest.raises(UserError, match="turned in a way that is not supported"):
        svg_text(ICONS, "turned")


def test_missing_and_changed_packages_are_refused(
    tmp_path: Path, packages: tuple[EmojiPackage, ...]
) -> None:
    path = tmp_path / packages[0].file_name
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(UserError, match=re.escape("is not @set/line@1.0.0 as npm serves it")):
        read_package(tmp_path, packages[0])
    path.unlink()
    with pytest.raises(UserError, match="is missing; get it with `npm pack @set/line@1.0.0`"):
        read_package(tmp_path, packages[0])


def test_names_in_an_archive_reach_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "packages"
    folder.mkdir()
    hostile = {"../evil": b"1", "/tmp/evil": b"2", "package/../../evil": b"3"}
    package = a_package(folder, "x", hostile)
    read = read_package(folder, package)
    assert sorted(read.values()) == [b"1", b"2", b"3"]
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["packages", package.file_name]


def test_links_in_an_archive_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    path = tmp_path / "set-x-1.0.0.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            link = tarfile.TarInfo("package/icons.json")
            link.type, link.linkname = kind, str(secret)
            archive.addfile(link)
    assert read_package(tmp_path, EmojiPackage("x", "@set/x", "1.0.0", hash_of(path))) == {}


@pytest.mark.parametrize("limit", ["_MAX_FILES", "_MAX_BYTES"])
def test_archives_that_hold_too_much_are_refused(
    tmp_path: Path, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = a_package(tmp_path, "x", {"a": bytes(5), "b": bytes(5)})
    monkeypatch.setattr(emoji_packages, limit, 10 if limit == "_MAX_BYTES" else 2)
    assert len(read_package(tmp_path, package)) == 2
    monkeypatch.setattr(emoji_packages, limit, 9 if limit == "_MAX_BYTES" else 1)
    with pytest.raises(UserError, match="holds more than an emoji package may"):
        read_package(tmp_path, package)


def test_pinned_packages_are_those_of_the_attributions(tmp_path: Path) -> None:
    domain_set = open_domains("emoji_styles", tmp_path)
    attributions = (Path(str(domain_set.root)) / "ATTRIBUTIONS.md").read_text()
    assert tuple(package.domain for package in PACKAGES) == domain_set.names
    for package in PACKAGES:
        (row,) = [
            line for line in attributions.splitlines() if line.startswith(f"| {package.domain} ")
        ]
        assert row.endswith(f"| {package.name} {package.version} |")
        assert f"| {len(domain_set.domain(package.domain))} |" in row


@pytest.mark.parametrize("shape", [(100, 100), (200, 50), (31, 93)])
def test_a_drawing_fills_94_percent_of_the_middle(shape: tuple[int, int]) -> None:
    width, height = shape
    drawing = Image.new("RGBA", (300, 300), (0, 0, 0, 0))
    drawing.paste((0, 0, 0, 255), (20, 30, 20 + width, 30 + height))
    pixels = np.asarray(frame_drawing(drawing, 400, colours=0))
    assert pixels.shape == (400, 400, 3)
    rows, columns = np.nonzero(pixels[..., 0] < 128)
    for marks, edge in ((columns, width), (rows, height)):
        expected = 400 * 0.94 * edge / max(shape)
        # The frame is a whole number of pixels of the drawing, of which it has at least 100.
        assert marks.max() - marks.min() + 1 == pytest.approx(expected, abs=5)
        assert marks.max() + marks.min() == pytest.approx(399, abs=5)


def test_transparent_parts_become_white_and_colours_are_limited() -> None:
    drawing = Image.radial_gradient("L").convert("RGBA")
    drawing.putalpha(Image.radial_gradient("L").point(lambda v: 255 - v))
    framed = frame_drawing(drawing, 64, colours=16)
    assert len(framed.getcolors()) <= 16
    assert framed.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    for name in ("line/hand/1f448.png", "flat/hand/1f449.png", "flat/face/1f600.png"):
        path = tmp_path / "listing" / name
        path.parent.mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(path)
    return tmp_path / "listing"


def red_square(svg: str, width: int) -> Image.Image:
    assert svg.startswith("<svg")
    return Image.new("RGBA", (width, width), "red")


def test_folders_follow_the_listings_classes(
    tmp_path: Path, packages: tuple[EmojiPackage, ...], listing: Path
) -> None:
    output = tmp_path / "built"
    counts = build_emoji_styles(
        read_folder(listing),
        read_drawings(tmp_path, packages),
        output,
        size=32,
        attributions="thanks",
        render=red_square,
    )
    assert counts == {"line": 2, "flat": 1, "solid": 1}
    files = sorted(p.relative_to(output).as_posix() for p in output.rglob("*.*"))
    assert files == [
        "ATTRIBUTIONS.md",
        "flat/hand/1f449.png",
        "line/hand/1f448.png",
        "line/hand/1f449.png",
        "solid/hand/1f448.png",
    ]
    image = Image.open(output / "line/hand/1f448.png")
    assert image.size == (32, 32)
    assert image.convert("RGB").getpixel((16, 16)) == (255, 0, 0)
    with pytest.raises(UserError, match="built exists; name a new folder"):
        build_emoji_styles(read_folder(listing), {}, output, render=red_square)


def test_nothing_half_written_stays(tmp_path: Path, listing: Path) -> None:
    def fail(svg: str, width: int) -> Image.Image:
        raise OSError("no space left")

    folder = tmp_path / "out"
    with pytest.raises(OSError, match="no space left"):
        build_emoji_styles(
            read_folder(listing), {"line": {"1f448": "<svg/>"}}, folder / "built", render=fail
        )
    assert list(folder.iterdir()) == []
