"""Archives that a person downloaded: read whole, or refused with the reason."""

import gzip
import io
import os
import tarfile
import warnings
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtdog_tf.errors import UserError
from qtdog_tf.prepare.archives import read_members, source_bytes
from qtdog_tf.prepare.member import MAX_IMAGE_BYTES, Member
from tests.layouts import write_tar, write_zip

FILES = {f"set/cat/{i}.png": bytes([i]) * (100 + i) for i in range(5)}


def contents(path: Path) -> dict[str, bytes]:
    return {member.name: member.contents() for member in read_members(path)}


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "folder"])
def test_every_kind_gives_the_same_files_and_progress(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    hidden = {"__MACOSX/set/cat/._0.png": b"x", "set/.DS_Store": b"y"}
    if name == "folder":
        for file, value in {**FILES, **hidden}.items():
            (path / file).parent.mkdir(parents=True, exist_ok=True)
            (path / file).write_bytes(value)
    elif name == "a.zip":
        write_zip(path, {**FILES, **hidden}, zipfile.ZIP_DEFLATED)
    else:
        write_tar(path, {**FILES, **hidden})
    assert contents(path) == FILES
    advanced: list[int] = []
    assert len(list(read_members(path, advanced.append))) == len(FILES)
    assert sum(advanced) == source_bytes(path)


@pytest.mark.parametrize("name", ["../out.png", "/etc/out.png", "a/../../out.png", "a\\b.png"])
@pytest.mark.parametrize("kind", ["a.zip", "a.tar.gz"])
def test_members_that_would_leave_the_folder_are_refused(
    kind: str, name: str, tmp_path: Path
) -> None:
    write = write_zip if kind == "a.zip" else write_tar
    path = write(tmp_path / "d" / kind, {name: b"x"})
    with pytest.raises(UserError, match="would leave the folder"):
        contents(path)
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "d", path]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(kind: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("set/cat/0.png")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(UserError, match=r"'set/cat/0.png' is a link or a device"):
        contents(path)


def test_links_in_a_zip_and_in_a_folder_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("set/cat/0.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UserError, match="is a link"):
        contents(tmp_path / "a.zip")
    (tmp_path / "set/cat").mkdir(parents=True)
    (tmp_path / "set/cat/0.png").symlink_to("/etc/passwd")
    with pytest.raises(UserError, match="is a link or no ordinary file"):
        contents(tmp_path / "set")
    (tmp_path / "set/cat/0.png").unlink()
    (tmp_path / "set/dog").symlink_to("/etc")
    with pytest.raises(UserError, match="dog is a link"):
        contents(tmp_path / "set")


def test_bombs_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    zeros = bytes(20 * 2**20)
    write_zip(tmp_path / "a.zip", {"set/cat/0.png": zeros}, zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match=r"its members claim 20,971,520 bytes in 2\d,\d\d\d"):
        contents(tmp_path / "a.zip")
    write_tar(tmp_path / "a.tar.gz", {"set/cat/0.png": zeros})
    with pytest.raises(UserError, match="unpacks to far more than its size"):
        contents(tmp_path / "a.tar.gz")
    # Not a file of the archive, but what is behind it.
    (tmp_path / "b.tar.gz").write_bytes(gzip.compress(bytes(30 * 2**20)))
    with pytest.raises(UserError, match="unpacks to far more|refused, truncated or damaged"):
        contents(tmp_path / "b.tar.gz")


def test_a_file_that_claims_too_much_is_not_read() -> None:
    def read() -> bytes:
        raise AssertionError

    with pytest.raises(UserError, match="claims 67,108,865 bytes"):
        Member("a.png", MAX_IMAGE_BYTES + 1, None, read).contents()
    with pytest.raises(UserError, match="'a.png' is cut off"):
        Member("a.png", 3, None, lambda: b"ab").contents()


def test_repeated_and_encrypted_members_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("a.png", b"1")
        archive.writestr("a.png", b"2")
    with pytest.raises(UserError, match="'a.png' is there twice"):
        contents(tmp_path / "a.zip")
    raw = bytearray(write_zip(tmp_path / "b.zip", {"a.png": b"1"}).read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "b.zip").write_bytes(raw)
    with pytest.raises(UserError, match="is encrypted"):
        contents(tmp_path / "b.zip")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar"])
def test_truncated_archives_are_refused(name: str, tmp_path: Path) -> None:
    whole = (write_zip if name == "a.zip" else write_tar)(tmp_path / name, FILES).read_bytes()
    # Of a TAR only the last member's end is looked at: behind it come zeros.
    end = whole.rindex(b"\4") if name == "a.tar" else len(whole)
    for length in range(0, end, max(1, end // 40)):
        (tmp_path / name).write_bytes(whole[:length])
        with pytest.raises(UserError, match="get it again"):
            contents(tmp_path / name)


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar"])
@given(data=st.data())
def test_damage_is_noticed_or_harmless_and_never_crashes(
    name: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("damage") / name
    raw = bytearray((write_zip if name == "a.zip" else write_tar)(path, FILES).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    try:
        found = contents(path)
    except UserError:
        return
    # TAR has no checksum of contents; the others have.
    if name != "a.tar":
        assert set(found.values()) <= set(FILES.values())


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"<html>quota exceeded</html>" * 100)
    with pytest.raises(UserError, match=r"a.zip is refused, truncated or damaged"):
        contents(tmp_path / "a.zip")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="no ordinary file"):
        contents(tmp_path)


def test_zip_with_a_wrong_checksum_is_refused_when_read(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.png", b"right bytes")
    (tmp_path / "a.zip").write_bytes(stream.getvalue().replace(b"right bytes", b"wrong bytes"))
    with pytest.raises(UserError, match=r"a.zip is refused.*Bad CRC-32"):
        contents(tmp_path / "a.zip")
