"""Opens an HDF5 weights file on trial, in a process of its own that may crash.

`python -I _hdf5_child.py FILE` walks through everything that Keras would read. The HDF5 library is
written in C and follows addresses in the file; a damaged one may end the process or ask for all the
memory. The last line on standard output is the reason to refuse the file; without one it is fine.
Nothing of this package is imported, so that it starts in a tenth of a second.
"""

import io
import resource
import sys
import zipfile
from pathlib import Path

import h5py

# Beside the file: Python, h5py, and one array at a time, which is no larger than the file.
_MEMORY_BYTES, _MEMORY_FILES = 2**30, 4
_CPU_SECONDS = 120
_MEMBER = "model.weights.h5"


def what_is_wrong(file: h5py.File, file_bytes: int) -> str | None:
    """Reads every array; returns why the file is refused, None if it is fine."""
    visited: set[object] = set()
    groups = [file["/"]]
    while groups:
        group = groups.pop()
        if group.id in visited:
            return f"its group {group.name!r} holds itself"
        visited.add(group.id)
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                return f"its entry {name!r} is a link to somewhere else"
            entry = group[name]
            if isinstance(entry, h5py.Group):
                groups.append(entry)
                continue
            if not isinstance(entry, h5py.Dataset):
                return f"its entry {name!r} is no array"
            wrong = _wrong_array(entry, file_bytes)
            if wrong:
                return f"its array {name!r} {wrong}"
            entry[()]
    return None


def _wrong_array(array: h5py.Dataset, file_bytes: int) -> str | None:
    if array.external or array.is_virtual:
        return "lies in another file"
    # An array of which nothing is stored reads as its fill value, whatever its shape.
    if array.shape is None or array.nbytes > file_bytes:
        return f"claims {array.nbytes:,} bytes in a file of {file_bytes:,}"
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        return f"is of type {array.dtype}"
    return None


def main(path: str) -> None:
    """Prints why a file is refused, nothing if it is fine."""
    memory = _MEMORY_BYTES + _MEMORY_FILES * Path(path).stat().st_size
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        if path.endswith(".keras"):
            with zipfile.ZipFile(path) as archive:
                contents = archive.read(_MEMBER)
        else:
            with open(path, "rb") as plain:
                contents = plain.read()
        with h5py.File(io.BytesIO(contents), "r") as file:
            wrong = what_is_wrong(file, len(contents))
    except Exception as error:  # h5py raises whatever HDF5's message is translated into
        wrong = f"{type(error).__name__}: {error}"
    if wrong:
        print(" ".join(wrong.split()))


if __name__ == "__main__":
    main(sys.argv[1])
