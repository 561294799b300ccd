"""Files that are whole or not there: written under a temporary name, synced, then renamed."""

import contextlib
import errno
import io
import json
import os
import struct
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from qtdog_tf.errors import UserError, one_line

_METADATA = "metadata.json"
# How the names of temporary files begin.
UNFINISHED = ".writing-"
# What zipfile and NumPy raise for files with wrong bytes in the middle.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    tokenize.TokenError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder that becomes `path` when the block ends well.

    If the block fails, the temporary file is removed and `path` is as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: Keras and NumPy choose formats by it.
    handle, name = tempfile.mkstemp(prefix=UNFINISHED, suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Makes a rename last through a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_unfinished(path: Path) -> bool:
    """Whether a file is what `replacing` leaves if its process is killed."""
    return path.name.startswith(UNFINISHED)


def remove_unfinished(folder: Path) -> None:
    """Removes what killed processes have left anywhere in a folder that nobody writes to now."""
    for path in Path(folder).rglob(f"{UNFINISHED}*"):
        path.unlink(missing_ok=True)


def rename_unless_there(unfinished: Path, folder: Path) -> None:
    """Gives a finished folder its name, unless another process has made the same one meanwhile."""
    try:
        unfinished.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def write_text(path: Path, text: str) -> None:
    """Writes a text file in one go."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any, indent: int | None = 2) -> None:
    """Writes plain values as JSON in one go, on one line if `indent` is None."""
    write_text(path, json.dumps(value, indent=indent, sort_keys=True) + "\n")


def read_json(path: Path) -> Any:
    """Reads JSON.

    Raises:
        UserError: if the file is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged (not JSON: {one_line(error)}): remove it") from error


def write_arrays(path: Path, arrays: dict[str, np.ndarray], metadata: dict[str, Any]) -> None:
    """Writes named arrays and plain values as one `.npz` file in one go."""
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        archive.writestr(_METADATA, json.dumps(metadata, sort_keys=True))
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asanyarray(array), allow_pickle=False)
            archive.writestr(f"{name}.npy", buffer.getbuffer())


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads what `write_arrays` wrote; every checksum is verified.

    Raises:
        UserError: if the file is truncated or damaged.
    """
    with _damage_is_named(path), zipfile.ZipFile(path) as archive:
        # Stored as they are, members cannot be larger than the file: no decompression bomb.
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise ValueError("its members are compressed")
        metadata = json.loads(archive.read(_METADATA))
        names = [name for name in archive.namelist() if name.endswith(".npy")]
        arrays = {
            name.removesuffix(".npy"): np.lib.format.read_array(
                io.BytesIO(archive.read(name)), allow_pickle=False
            )
            for name in names
        }
    return arrays, metadata


def read_metadata(path: Path) -> dict[str, Any]:
    """Reads the plain values only of what `write_arrays` wrote.

    Raises:
        UserError: if the file is truncated or damaged.
    """
    with _damage_is_named(path), zipfile.ZipFile(path) as archive:
        return json.loads(archive.read(_METADATA))


@contextlib.contextmanager
def _damage_is_named(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise UserError(f"{path} is truncated or damaged ({one_line(error)})") from error
    except OSError as error:
        # A wrong offset in the file makes zipfile seek to a place that there cannot be.
        if error.errno != errno.EINVAL:
            raise
        raise UserError(f"{path} is truncated or damaged (a wrong offset)") from error
