"""Checkpoints that are whole, torn, damaged and old."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtdog_tf.errors import UserError
from qtdog_tf.training.checkpoints import Checkpoint, CheckpointStore

WEIGHTS = {"weights": np.arange(6, dtype=np.float32).reshape(2, 3), "count": np.array(7, np.int64)}
SEGMENT = [np.ones([2, 2], np.float32), np.array([3.5])]


def save(store: CheckpointStore, step: int, **sets: list[np.ndarray]) -> None:
    store.save(step, {**WEIGHTS, "step": np.array(step)}, {"note": f"at {step}"}, sets)


def assert_whole(found: Checkpoint | None, step: int) -> None:
    assert found is not None
    assert (found.step, found.plain) == (step, {"note": f"at {step}"})
    assert found.arrays["step"] == step
    for name, array in WEIGHTS.items():
        np.testing.assert_array_equal(found.arrays[name], array, strict=True)


def test_newest_comes_back_and_the_last_few_are_kept(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "checkpoints", keep=2)
    assert store.load() is None and store.steps() == []
    for step in (0, 5, 10, 15):
        save(store, step)
    assert store.steps() == [10, 15]
    assert_whole(CheckpointStore(store.folder).load(), 15)
    store.clear()
    assert not store.folder.exists()


def test_sets_are_written_once_and_removed_with_the_last_that_refers_to_them(
    tmp_path: Path,
) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    save(store, 1, a=SEGMENT)
    written = (tmp_path / "a.npz").stat().st_mtime_ns
    save(store, 2, a=SEGMENT, b=SEGMENT[:1])
    assert (tmp_path / "a.npz").stat().st_mtime_ns == written
    other = CheckpointStore(tmp_path, keep=2)
    found = other.load()
    assert found is not None and set(found.sets) == {"a", "b"}
    for mine, theirs in zip(found.sets["a"], SEGMENT, strict=True):
        np.testing.assert_array_equal(mine, theirs, strict=True)
    save(other, 3, b=SEGMENT[:1])
    assert (tmp_path / "a.npz").exists()
    save(other, 4, b=SEGMENT[:1])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "b.npz",
        "step-000003.npz",
        "step-000004.npz",
    ]


def test_a_set_of_a_killed_process_is_written_again(tmp_path: Path) -> None:
    """Its checkpoint was never written, so what it holds is not known."""
    (tmp_path / "a.npz").write_bytes(b"half")
    save(CheckpointStore(tmp_path), 1, a=SEGMENT)
    found = CheckpointStore(tmp_path).load()
    assert found is not None
    np.testing.assert_array_equal(found.sets["a"][1], SEGMENT[1])


@pytest.mark.parametrize("damaged", ["step-000020.npz", "b.npz"])
@pytest.mark.parametrize("how", ["truncated", "empty", "flipped", "gone"])
def test_damage_is_noticed_and_the_one_before_is_used(
    tmp_path: Path, damaged: str, how: str
) -> None:
    store = CheckpointStore(tmp_path)
    save(store, 10, a=SEGMENT)
    save(store, 20, a=SEGMENT, b=SEGMENT)
    path = tmp_path / damaged
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 0x40
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes({"truncated": contents[:-30], "empty": b""}.get(how, contents))
    said: list[str] = []
    assert_whole(CheckpointStore(tmp_path).load(said.append), 10)
    if (damaged, how) == ("step-000020.npz", "gone"):
        assert not said
    else:
        (sentence,) = said
        assert damaged in sentence and "the checkpoint before it is used" in sentence
    # Training goes on from there, past the damaged one.
    save(other := CheckpointStore(tmp_path), 20, a=SEGMENT, b=SEGMENT)
    assert_whole(other.load(), 20)


def test_all_damaged_is_one_sentence(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    save(store, 10)
    (tmp_path / "step-000010.npz").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(UserError, match="every checkpoint in .* is truncated or damaged: remove"):
        store.load()


@given(st.data())
@settings(max_examples=200)
def test_any_damage_is_noticed_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("store")
    save(CheckpointStore(folder), 10)
    path = folder / "step-000010.npz"
    contents = bytearray(path.read_bytes())
    for position in data.draw(st.lists(st.integers(0, len(contents) - 1), min_size=1, max_size=4)):
        contents[position] = data.draw(st.integers(0, 255))
    length = data.draw(st.one_of(st.just(len(contents)), st.integers(0, len(contents))))
    path.write_bytes(contents[:length])
    try:
        assert_whole(CheckpointStore(folder).load(), 10)
    except UserError as error:
        assert "truncated or damaged" in str(error)
