"""What the integrity check and the contact sheet say about good and broken folders."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qtdog_tf.data import (
    check_domains,
    contact_sheet,
    find_unreadable,
    read_folder,
)
from qtdog_tf.data.contact_sheet import write_contact_sheet
from qtdog_tf.data.image_check import inspect_image
from qtdog_tf.errors import UserError

ROOT = Path(__file__).parents[1]


def picture(number: int) -> Image.Image:
    noise = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(noise)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two domains of two classes with three different images each."""
    for d, domain in enumerate(("ink", "oil")):
        for c, kind in enumerate(("cat", "dog")):
            folder = tmp_path / "photos" / domain / kind
            folder.mkdir(parents=True)
            for i in range(3):
                picture(100 * d + 10 * c + i).save(folder / f"{i}.png")
    return tmp_path / "photos"


def test_a_good_folder_has_no_findings(root: Path) -> None:
    report = check_domains(read_folder(root))
    assert report.errors == report.warnings == report.duplicates == report.unreadable == ()
    np.testing.assert_array_equal(report.counts, [[3, 3], [3, 3]])
    report.raise_errors()
    assert report.table() == "\n".join(
        [
            "class  ink  oil  all",
            "--------------------",
            "cat      3    3    6",
            "dog      3    3    6",
            "--------------------",
            "all      6    6   12",
        ]
    )
    assert "no errors, no warnings" in str(report)
    assert str(report).startswith("photos: 2 domains, 2 classes, 12 images")


def test_images_that_cannot_be_read_are_errors_with_name_and_reason(root: Path) -> None:
    whole = (root / "ink/cat/1.png").read_bytes()
    (root / "ink/cat/0.png").write_bytes(whole[:-40])
    (root / "ink/cat/1.png").write_bytes(b"")
    (root / "ink/cat/2.png").write_bytes(b"<html>404</html>")
    animation = io.BytesIO()
    picture(0).save(animation, "WEBP", save_all=True, append_images=[picture(1)])
    (root / "oil/dog/3.webp").write_bytes(animation.getvalue())
    report = check_domains(read_folder(root))
    assert {Path(s.path).relative_to(root).as_posix(): s.problem for s in report.unreadable} == {
        "ink/cat/0.png": "is truncated, damaged, or of a kind that cannot be read",
        "ink/cat/1.png": "is empty",
        "ink/cat/2.png": "is no image, whatever its name says",
        "oil/dog/3.webp": "is an animated WebP, which is not supported",
    }
    (error,) = report.errors
    assert error.startswith("4 images cannot be read: ")
    assert f"{root}/ink/cat/1.png is empty" in error
    assert error.endswith(" and 1 more")
    with pytest.raises(UserError, match=r"photos cannot be used: 4 images cannot be read"):
        report.raise_errors()
    assert check_domains(read_folder(root), open_images=False).errors == ()


@pytest.mark.parametrize("kept", [0.3, 0.8, 0.98])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF", "WEBP"])
def test_truncated_images_are_found(tmp_path: Path, kind: str, kept: float) -> None:
    file = io.BytesIO()
    picture(0).resize((100, 100)).save(file, kind)
    contents = file.getvalue()
    path = tmp_path / "x.img"
    path.write_bytes(contents)
    assert find_unreadable([str(path)]) == ()
    path.write_bytes(contents[: int(len(contents) * kept)])
    assert [state.path for state in find_unreadable([str(path)])] == [str(path)]


def test_a_file_that_is_gone_is_a_problem_not_a_crash(tmp_path: Path) -> None:
    state = inspect_image(str(tmp_path / "gone.png"))
    assert state.problem == "cannot be opened (No such file or directory)"


def test_states_keep_the_order_of_the_paths(root: Path) -> None:
    paths = read_folder(root).domain("oil").paths
    damaged = [paths[4], paths[1]]
    for path in damaged:
        Path(path).write_bytes(b"x")
    assert [state.path for state in find_unreadable(paths, threads=3)] == [paths[1], paths[4]]


def test_equal_pictures_are_found_by_their_pixels(root: Path) -> None:
    picture(0).save(root / "ink/cat/again.bmp")
    picture(0).save(root / "oil/dog/stolen.png", compress_level=0)
    report = check_domains(read_folder(root))
    names = [sorted(Path(p).name for p in group) for group in report.duplicates]
    assert names == [["0.png", "again.bmp", "stolen.png"]]
    assert report.errors == ()
    example = "ink/cat/0.png = ink/cat/again.bmp"
    assert report.warnings == (
        f"1 picture occurs several times in one domain: {example}",
        "1 picture occurs in several domains, so that a target may hold images of a source: "
        + example,
        f"1 picture occurs under several classes: {example}",
    )


def test_a_class_that_only_a_target_has_is_an_error(root: Path) -> None:
    (root / "oil/emu").mkdir()
    picture(1000).save(root / "oil/emu/0.png")
    domain_set = read_folder(root)
    report = check_domains(domain_set, ["ink"], ["oil"])
    assert report.errors == ("target domain 'oil' has classes that no source domain has: emu",)
    assert report.warnings == ("domain 'ink' has no image of 1 class: emu",)
    assert check_domains(domain_set, target_domains=["ink"]).errors == ()
    assert check_domains(domain_set).errors == ()


def test_a_class_that_no_domain_has_an_image_of_is_an_error(root: Path) -> None:
    for domain in ("ink", "oil"):
        (root / domain / "emu").mkdir()
    (root / "oil/emu/emu.heic").touch()
    sentence = f"class 'emu' has no image in any domain: fill or remove {root}/ink/emu, {root}/oil/"
    for report in (
        check_domains(read_folder(root)),
        check_domains(read_folder(root), ["ink"], ["oil"], open_images=False),
    ):
        assert report.errors == (f"{sentence}emu",)
    # What only a domain has that is not looked at is a warning, as what one of several lacks.
    (root / "air/emu").mkdir(parents=True)
    picture(1000).save(root / "air/emu/0.png")
    found = check_domains(read_folder(root), ["ink"], ["oil"])
    assert found.errors == () and "domain 'ink' has no image of 1 class: emu" in found.warnings


def test_too_few_domains_and_empty_domains_are_errors(root: Path) -> None:
    domain_set = read_folder(root)
    assert check_domains(domain_set, ["ink"]).errors == (
        "there is only one domain, 'ink'; it takes at least two",
    )
    (root / "air/cat").mkdir(parents=True)
    assert check_domains(read_folder(root)).errors == ("domain 'air' has no images",)
    with pytest.raises(UserError, match="no domain 'sea'"):
        check_domains(domain_set, ["ink"], ["sea"])


def test_files_that_are_left_out_are_counted(root: Path) -> None:
    for name in ("ink/cat/notes.txt", "ink/cat/photo.heic", "ink/.DS_Store", "README.md"):
        (root / name).touch()
    picture(2000).save(root / "oil/lost.png")
    (root / "oil/dog/more").mkdir()
    picture(2001).save(root / "oil/dog/more/deep.png")
    report = check_domains(read_folder(root))
    assert report.errors == ()
    others, misplaced = report.warnings
    assert others.startswith("2 files left out, no image by name: ")
    assert "notes.txt" in others
    assert "photo.heic" in others
    assert misplaced.startswith("2 images left out, not at <domain>/<class>/<image>: ")
    assert "lost.png" in misplaced
    assert "deep.png" in misplaced


def test_contact_sheet_shows_images_gaps_and_broken_ones(root: Path, tmp_path: Path) -> None:
    for path in (root / "ink/cat").iterdir():
        path.unlink()
    for path in (root / "oil/dog").iterdir():
        path.write_bytes(b"broken")
    sheet = tmp_path / "sheets/sheet.png"
    write_contact_sheet(read_folder(root), sheet, image_size=32, seed=1)
    pixels = np.asarray(Image.open(sheet).convert("RGB"))
    assert [p.name for p in sheet.parent.iterdir()] == ["sheet.png"]
    cross = (pixels == (0xD0, 0x30, 0x30)).all(axis=2)
    assert cross.any()
    again = tmp_path / "again.png"
    write_contact_sheet(read_folder(root), again, image_size=32, seed=1)
    assert again.read_bytes() == sheet.read_bytes()
    top, left = contact_sheet._TOP, contact_sheet._LEFT + 32 + contact_sheet._GAP
    tile = pixels[top : top + 32, left : left + 32]
    dogs = [Image.open(p).resize((32, 32), 2) for p in (root / "ink/dog").iterdir()]
    assert min(np.abs(tile.astype(int) - np.asarray(dog)).max() for dog in dogs) <= 1
    with pytest.raises(UserError, match=r"must end in .jpg, .png, .webp"):
        write_contact_sheet(read_folder(root), tmp_path / "sheet.txt")


def test_program_prints_the_table_and_fails_on_errors(root: Path, tmp_path: Path) -> None:
    (root / "oil/emu").mkdir()
    picture(1000).save(root / "oil/emu/0.png")
    (root / "ink/cat/0.png").write_bytes(b"")
    sheet = tmp_path / "sheet.png"
    command = [sys.executable, "-m", "tools.check_data", f"--data={root}", f"--output={sheet}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "all      6    7   13" in done.stdout
    assert "error: 1 image cannot be read" in done.stdout
    assert "error: target domain 'oil' has classes that no source domain has: emu" in done.stdout
    assert sheet.exists()
