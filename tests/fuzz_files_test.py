"""Hostile files that no random change makes: bombs, links, names and numbers."""

import copy
import io
import json
import pickle
import stat
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qtdog_tf.data.zip_check import check_members
from qtdog_tf.errors import UserError
from qtdog_tf.evaluation import open_run
from qtdog_tf.evaluation.summary_values import read_summary
from qtdog_tf.models.weights_file import read_tensors
from tests.programs import assert_refused, run_program
from tests.run_folders import IDENTITY, make_run
from tests.torch_files import file_bytes, table_bytes, tensor_bytes


def test_a_pickle_of_many_small_objects_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "long.pth"
    path.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2) + b"}" * 3_000_000)
    with pytest.raises(UserError, match="longer than any table of tensors"):
        read_tensors(path)


def test_views_that_copy_one_storage_again_and_again_are_refused(tmp_path: Path) -> None:
    table = table_bytes({f"t{i}": tensor_bytes("1", 6, (2, 3), (1, 2)) for i in range(5)})
    path = tmp_path / "views.pth"
    path.write_bytes(file_bytes(table, {"1": np.arange(6)}))
    with pytest.raises(UserError, match="many times larger than what is stored"):
        read_tensors(path)


def test_a_storage_of_more_bytes_than_an_address_has_is_refused(tmp_path: Path) -> None:
    contents = file_bytes(
        table_bytes({"a": tensor_bytes("1", 6, (2, 3), (3, 1))}), {"1": np.arange(6)}
    )
    number = b"J" + struct.pack("<i", 6) + b"NtQ"
    huge = contents.replace(number, b"\x8a\x08" + struct.pack("<q", 2**62) + b"NtQ")
    huge = huge.replace(struct.pack("<q", 6), struct.pack("<q", 2**62))
    path = tmp_path / "huge.pth"
    path.write_bytes(huge)
    with pytest.raises(UserError, match="is not a torch checkpoint"):
        read_tensors(path)


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [2**62, 0], "data_offsets": [0, 0]}},
        {"a": {"dtype": "x\ny", "shape": [2], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 2**60]}},
    ],
)
def test_headers_of_safetensors(header: Any, tmp_path: Path) -> None:
    text = json.dumps(header).encode()
    path = tmp_path / "weights.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(8))
    with pytest.raises(UserError, match="weights.safetensors") as caught:
        read_tensors(path)
    assert "\n" not in str(caught.value)
    path.write_bytes(struct.pack("<Q", 2**40) + text)
    with pytest.raises(UserError, match="its table is larger than"):
        read_tensors(path)


def _link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("member", "kind", "reason"),
    [
        (zipfile.ZipInfo("../../evil"), zipfile.ZIP_STORED, "would leave the folder"),
        (zipfile.ZipInfo("/evil"), zipfile.ZIP_STORED, "would leave the folder"),
        (zipfile.ZipInfo("a\x1b[2J"), zipfile.ZIP_STORED, "would leave the folder"),
        (_link("evil"), zipfile.ZIP_STORED, "is a link"),
        (zipfile.ZipInfo("good"), zipfile.ZIP_DEFLATED, "is compressed"),
    ],
)
def test_members_of_archives(member: zipfile.ZipInfo, kind: int, reason: str) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(member, "x" * 100, kind)
    with (
        zipfile.ZipFile(stream) as archive,
        pytest.raises(zipfile.BadZipFile, match=reason),
    ):
        check_members(archive, len(stream.getvalue()))


def test_members_that_share_their_bytes_are_counted() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a", b"x" * 1000)
        for name in "bcdefghij":
            archive.filelist.append(copy.copy(archive.filelist[0]))
            archive.filelist[-1].filename = name
    with (
        zipfile.ZipFile(stream) as archive,
        pytest.raises(zipfile.BadZipFile, match="claim 10,000 bytes"),
    ):
        check_members(archive, len(stream.getvalue()))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"image_size": 10**9}, "'image_size' must be from"),
        ({"holdout": float("nan")}, "'holdout' must be from 0 to 1"),
        ({"classes": ["\x1b[2J", "dog"]}, "'classes' holds a character"),
        ({"classes": ["\ud800", "dog"]}, "'classes' holds a character"),
        ({"classes": []}, "'classes' and 'image_size' must not be empty"),
        ({"trial_seed": 10**5000}, "Exceeds the limit"),
    ],
)
def test_values_of_a_run(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    path = make_run(tmp_path / "run")
    text = json.dumps({**IDENTITY, **{k: v for k, v in change.items() if k != "trial_seed"}})
    if "trial_seed" in change:
        text = text.replace('"trial_seed": 0', f'"trial_seed": 1{"0" * 5000}')
    (path / "run.json").write_text(text)
    with pytest.raises(UserError, match=rf"run\.json is damaged.*{reason}"):
        open_run(path)
    (path / "run.json").write_text("[" * 10**5)
    with pytest.raises(UserError, match=r"run\.json is damaged"):
        open_run(path)


def test_a_damaged_summary_is_a_sentence(tmp_path: Path) -> None:
    good = {"targets": ["a"], "trial_seed": 0, "variant": {"name": "erm"}, "rows": {}}
    path = tmp_path / "summary.json"
    path.write_text(json.dumps(good))
    assert read_summary(path) == good
    for key in good:
        path.write_text(json.dumps({**good, key: None}))
        with pytest.raises(UserError, match=rf"summary\.json is damaged.*{key}"):
            read_summary(path)


def test_flagfiles(tmp_path: Path) -> None:
    path = tmp_path / "odd.flags"
    path.write_bytes(b"--runs=\xff\xfe")
    assert_refused(run_program("compare", flagfile=path), "no UTF-8 text")
