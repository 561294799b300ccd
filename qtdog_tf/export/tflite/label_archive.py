"""The ZIP archive behind a .tflite model that holds the class names, one a line.

TFLite's readers map the file into memory and take the names from there, so they are stored without
compression. A reader of ours meets files from anywhere, so sizes are limited.
"""

import io
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path

from qtdog_tf.errors import UserError, one_line

_MAX_BYTES = 2**20
# What zipfile raises; NotImplementedError, for a feature of ZIP, is a RuntimeError.
_DAMAGE = (
    zipfile.BadZipFile,
    KeyError,
    OSError,
    ValueError,
    EOFError,
    RuntimeError,
    struct.error,
    OverflowError,
    IndexError,
)
# The earliest that ZIP can tell: the same names give the same bytes at any time.
_DATE = (1980, 1, 1, 0, 0, 0)


def refuse_names(names: Sequence[str]) -> None:
    """Refuses class names that a text file with one name a line cannot hold.

    Raises:
        UserError: naming the first of them.
    """
    for name in names:
        if name.splitlines() != [name]:
            what = "has a line break" if name else "is empty"
            raise UserError(f"class name {name!r} {what}, which a list of names cannot hold")
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise UserError(f"class name {name!r} is no Unicode text: rename its folder") from error


def zip_of_labels(file_name: str, names: Sequence[str], start: int) -> bytes:
    """Returns the archive.

    Args:
        file_name: of the only file in it.
        names: the class names.
        start: where in the .tflite file the archive begins, since its offsets count from there.
    """
    stream = io.BytesIO()
    # A seek behind the end leaves a hole, which stands for the model.
    stream.seek(start)
    with zipfile.ZipFile(stream, "w") as archive:
        entry = zipfile.ZipInfo(file_name, _DATE)
        entry.create_system = 3  # whatever the machine
        archive.writestr(entry, "\n".join(names) + "\n")
    return stream.getvalue()[start:]


def labels_from_zip(file_name: str, contents: bytes, path: Path) -> tuple[str, ...]:
    """Reads the class names from the archive at the end of a .tflite file.

    Args:
        file_name: of the file in the archive.
        contents: the whole .tflite file.
        path: its name, for errors.

    Raises:
        UserError: if the archive or the file is not there, damaged, compressed, too large or no
            UTF-8 text.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(contents)) as archive:
            entry = archive.getinfo(file_name)
            _refuse_entry(entry)
            text = archive.read(entry).decode()
    except _DAMAGE as error:
        raise UserError(
            f"{path} names no classes: {file_name!r} in it is missing or damaged "
            f"({one_line(error)}): export it again"
        ) from error
    return tuple(text.splitlines())


def _refuse_entry(entry: zipfile.ZipInfo) -> None:
    """Refuses, before a byte is read, what would be too much.

    Raises:
        ValueError: saying why.
    """
    if entry.compress_type != zipfile.ZIP_STORED:
        raise ValueError("it is compressed, which TFLite's readers refuse")
    if max(entry.file_size, entry.compress_size) > _MAX_BYTES:
        raise ValueError(f"it is larger than {_MAX_BYTES:,} bytes")
