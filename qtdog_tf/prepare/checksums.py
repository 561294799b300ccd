"""Compares archives with a list of SHA-256, as `sha256sum` writes it. See `check_archives`."""

import re
from collections.abc import Sequence
from pathlib import Path

from qtdog_tf.data.mnist.checksums import file_sha256
from qtdog_tf.errors import UserError

_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")
_MAX_BYTES = 2**20


def check_archives(list_path: str, archives: Sequence[Path]) -> tuple[str, ...]:
    """Refuses archives that are not the ones of a list.

    Args:
        list_path: lines "<64 hexadecimal digits>  <file name>"; empty for no list.
        archives: the files; folders among them have no checksum.

    Returns:
        Findings: archives that the list does not name.

    Raises:
        UserError: if the list cannot be read, or an archive has another checksum.
    """
    if not list_path:
        return ()
    known = _read_list(Path(list_path))
    files = [path for path in archives if path.is_file()]
    for path in files:
        if known.get(path.name, "") not in ("", file_sha256(path)):
            raise UserError(
                f"{path} is not the file that {list_path} names (its SHA-256 is wrong): get it "
                "again"
            )
    return tuple(f"{list_path} does not name {p.name}" for p in files if p.name not in known)


def _read_list(path: Path) -> dict[str, str]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UserError(f"{path} is too large for a list of checksums")
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"the list {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no list of checksums: it is no text") from error
    known = {}
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        if not match and line:
            raise UserError(f"{path}, line {number}, is not as sha256sum writes it")
        if match:
            known[Path(match[2]).name] = match[1].lower()
    return known
