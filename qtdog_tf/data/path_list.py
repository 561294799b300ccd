"""The paths of many images, in a few bytes more than their file names have.

A Python string takes some 120 bytes for a path, a string in a tensor as much again; with half a
million images of DomainNet that adds up. Here all file names stand in one run of bytes, beside the
folders they are in, for Python and for TensorFlow. Start from `PathList.of`.
"""

import functools
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import tensorflow as tf

# Names in one string of a tensor: many, since a string takes some bytes of its own; few, since all
# of them are copied to read one.
_BLOCK = 64


@dataclass(frozen=True, eq=False)
class _Names:
    """Names of files, folder by folder.

    Attributes:
        folders: the folders, each with its last slash.
        folder: int32 [n], which folder each file is in.
        names: the names of all files, end to end.
        starts: int64 [n + 1], where each name starts, and where the last ends.
    """

    folders: tuple[str, ...]
    folder: np.ndarray
    names: bytes
    starts: np.ndarray

    def path(self, row: int) -> str:
        name = self.names[self.starts[row] : self.starts[row + 1]]
        return self.folders[self.folder[row]] + os.fsdecode(name)

    @functools.cached_property
    def tensors(self) -> tuple[tf.Tensor, ...]:
        """For TensorFlow, made once for all pipelines: folders, folder, blocks of names, starts."""
        names, starts = self.names, self.starts
        edges = [*starts[:-1:_BLOCK].tolist(), len(names)]
        # One string would be copied into the graph of every pipeline, as all small tensors are.
        blocks = [names[start:stop] for start, stop in itertools.pairwise(edges)]
        folders = [os.fsencode(folder) for folder in self.folders]
        # The first to ask may be tracing a graph, in which the others have no part.
        with tf.init_scope():
            return (
                tf.constant(folders, tf.string, shape=[len(folders)]),
                tf.constant(self.folder),
                tf.constant(blocks, tf.string, shape=[len(blocks)]),
                tf.constant(starts),
            )


class PathList(Sequence[str]):
    """Paths in an order, as a tuple of them would be; parts of a list share its names.

    Attributes:
        rows: int64 [n], read-only, where each path stands among all names that are shared.
    """

    def __init__(self, names: _Names, rows: np.ndarray) -> None:
        self._names = names
        self.rows = np.asarray(rows, np.int64)
        self.rows.setflags(write=False)

    @classmethod
    def of(cls, paths: Iterable[str]) -> "PathList":
        """Holds paths in their order; returns a `PathList` as it is."""
        if isinstance(paths, cls):
            return paths
        return cls.of_folders(
            (folder, [path[len(folder) :] for path in group])
            for folder, group in itertools.groupby(map(os.fspath, paths), key=_folder)
        )

    @classmethod
    def of_folders(cls, groups: Iterable[tuple[str, Sequence[str]]]) -> "PathList":
        """Holds the files of folders.

        Args:
            groups: a folder with its last slash, and names in it; taken one by one.
        """
        folders, names, lengths, counts = [], [], [np.zeros(1, np.int64)], []
        for folder, group in groups:
            encoded = [os.fsencode(name) for name in group]
            folders.append(folder)
            names.append(b"".join(encoded))
            lengths.append(np.array([len(name) for name in encoded], np.int64))
            counts.append(len(encoded))
        folder_of = np.repeat(np.arange(len(folders), dtype=np.int32), counts)
        starts = np.cumsum(np.concatenate(lengths))
        return cls(
            _Names(tuple(folders), folder_of, b"".join(names), starts), np.arange(len(folder_of))
        )

    @classmethod
    def join(cls, lists: Sequence["PathList"]) -> "PathList":
        """One list after the other; what shares its names already goes on to do so."""
        if lists and all(paths._names is lists[0]._names for paths in lists):
            return cls(lists[0]._names, np.concatenate([paths.rows for paths in lists]))
        return cls.of(itertools.chain.from_iterable(lists))

    def take(self, indices: np.ndarray | Sequence[int]) -> "PathList":
        """The paths at some positions, in their order."""
        return PathList(self._names, self.rows[np.asarray(indices, np.int64)])

    def look_up(self, row: tf.Tensor) -> tf.Tensor:
        """The path of a row, a string scalar, inside a graph.

        Args:
            row: int64 scalar, one of `rows`.
        """
        folders, folder, blocks, starts = self._names.tensors
        block, start = row // _BLOCK, starts[row]
        inside = start - starts[block * _BLOCK]
        name = tf.strings.substr(blocks[block], inside, starts[row + 1] - start)
        return tf.strings.join([folders[folder[row]], name])

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> "PathList": ...
    def __getitem__(self, index: int | slice) -> "str | PathList":
        if isinstance(index, slice):
            return PathList(self._names, self.rows[index])
        return self._names.path(self.rows[index])

    def __iter__(self) -> Iterator[str]:
        return map(self._names.path, self.rows)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(map(str.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"PathList of {len(self):,} paths"


def _folder(path: str) -> str:
    """The part of a path before its last name, letter by letter."""
    return path[: path.rfind(os.sep) + 1]
