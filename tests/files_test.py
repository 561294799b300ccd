"""Files are whole or not there; damaged ones are noticed."""

from pathlib import Path

import numpy as np
import pytest

from qtdog_tf.errors import UserError
from qtdog_tf.files import read_arrays, read_json, replacing, write_arrays, write_json
from qtdog_tf.records import Evaluation, Score
from qtdog_tf.runs import ResultsLog, claim_folder, versions

ARRAYS = {"model/0000": np.arange(6, dtype=np.float32).reshape(2, 3), "count": np.int64(7)}


def test_arrays_come_back_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    write_arrays(path, ARRAYS, {"step": 3})
    arrays, metadata = read_arrays(path)
    assert metadata == {"step": 3} and set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.999])
def test_truncated_arrays_are_noticed(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "state.npz"
    write_arrays(path, ARRAYS, {"step": 3})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(UserError, match="truncated or damaged"):
        read_arrays(path)


def test_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    write_arrays(path, {"a": np.zeros(1000, np.float32)}, {})
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(UserError, match="truncated or damaged"):
        read_arrays(path)


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_damaged_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"a": ')
    with pytest.raises(UserError, match=r"run\.json is damaged"):
        read_json(tmp_path / "run.json")


def test_claimed_folder_goes_on_with_the_same_identity_only(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    claim_folder(folder, "settings.json", {"bits": 7, "names": ("a",)}, versions=versions())
    claim_folder(folder, "settings.json", {"bits": 7, "names": ("a",)})
    with pytest.raises(UserError, match="bits: 5 / 7"):
        claim_folder(folder, "settings.json", {"bits": 5, "names": ("a",)})


def test_a_file_or_a_strangers_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        claim_folder(tmp_path / "file", "settings.json", {})
    with pytest.raises(UserError, match="holds other files"):
        claim_folder(tmp_path, "settings.json", {})


def test_results_log(tmp_path: Path) -> None:
    log = ResultsLog(tmp_path / "run" / "results.jsonl")
    assert log.read() == []
    records = [
        Evaluation(step, "raw", False, {"a": {"out": Score(0.5, 1.25, 4)}}, {}) for step in (0, 5)
    ]
    for record in records:
        log.append([record])
    assert log.read() == records
    with log.path.open("a") as file:
        file.write('{"step": 10}\n')
    with pytest.raises(UserError, match="line 3 is damaged"):
        log.read()
    log.rewrite(records[:1])
    assert log.read() == records[:1]


def test_json_is_written_whole(tmp_path: Path) -> None:
    write_json(tmp_path / "a" / "b.json", {"x": 1})
    assert read_json(tmp_path / "a" / "b.json") == {"x": 1}
