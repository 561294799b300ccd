"""A list of paths is what a tuple of them would be, in Python and inside a graph."""

import os

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from qtdog_tf.data.path_list import PathList

NAMES = st.text("ab.é \udc80", min_size=1, max_size=4)
FOLDERS = st.sampled_from(["", "/", "/x", "x//", "./x/y", "a b/ü"])
PATHS = st.lists(st.tuples(FOLDERS, NAMES).map(lambda parts: os.path.join(*parts)), max_size=12)


@given(PATHS, st.data())
@settings(deadline=None, max_examples=60)
def test_it_is_what_a_tuple_would_be(paths: list[str], data: st.DataObject) -> None:
    found = PathList.of(paths)
    assert len(found) == len(paths)
    assert list(found) == [found[i] for i in range(len(paths))] == paths
    assert found == tuple(paths) and found != (*paths, "more")
    assert list(found[1:5:2]) == paths[1:5:2]
    chosen = data.draw(
        st.lists(st.integers(0, len(paths) - 1), max_size=5) if paths else st.just([])
    )
    assert list(found.take(chosen)) == [paths[i] for i in chosen]
    assert PathList.of(found) is found


def look_up(paths: PathList) -> list[str]:
    rows = tf.data.Dataset.from_tensor_slices(paths.rows).map(paths.look_up)
    return [os.fsdecode(path) for path in rows.as_numpy_iterator()]


def test_a_graph_finds_them_too() -> None:
    # More than one block of names, of several bytes for some letters, in three folders.
    names = [f"{'é' * (n % 5)}{n}.jpg" for n in range(300)]
    paths = PathList.of_folders([("r/a/", names[:70]), ("r/b/", []), ("s/", names[70:])])
    expected = [f"r/a/{name}" for name in names[:70]] + [f"s/{name}" for name in names[70:]]
    assert list(paths) == look_up(paths) == expected
    some = np.random.default_rng(0).permutation(300)[:90]
    assert look_up(paths.take(some)) == [expected[i] for i in some]
    assert look_up(paths[63:66]) == expected[63:66]


def test_names_are_shared_when_lists_are_joined() -> None:
    whole = PathList.of([f"d/{n}" for n in range(9)])
    joined = PathList.join([whole[6:], whole[:2]])
    assert list(joined) == ["d/6", "d/7", "d/8", "d/0", "d/1"]
    assert joined._names is whole._names
    mixed = PathList.join([whole[:1], PathList.of(["e/0"])])
    assert list(mixed) == ["d/0", "e/0"]
    assert list(PathList.join([])) == []


def test_a_path_takes_little_more_than_its_name() -> None:
    paths = PathList.of_folders(
        [("/some/long/folder/of/a/class/", [f"{n:06d}.jpg" for n in range(5000)])]
    )
    held = paths._names
    total = len(held.names) + held.starts.nbytes + held.folder.nbytes + paths.rows.nbytes
    assert total / 5000 < 10 + 21
