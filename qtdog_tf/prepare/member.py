"""One file of an archive or folder. See `Member`."""

import dataclasses
import zlib
from collections.abc import Callable
from functools import partial

from qtdog_tf.errors import UserError

# 64 MB: several times what the largest image of the benchmark takes.
MAX_IMAGE_BYTES = 2**26


@dataclasses.dataclass(frozen=True, eq=False)
class Member:
    """A file of an archive or folder, not read yet.

    Attributes:
        name: its path there, with slashes.
        size: bytes, as the archive says.
        crc: its CRC-32 if the archive says it.
        read: reads its contents, before the next member is asked for.
    """

    name: str
    size: int
    crc: int | None
    read: Callable[[], bytes]

    @classmethod
    def in_memory(cls, name: str, contents: bytes) -> "Member":
        """A file whose contents have been read or made already."""
        return cls(name, len(contents), zlib.crc32(contents), partial(bytes, contents))

    def contents(self, at_most: int = MAX_IMAGE_BYTES) -> bytes:
        """Reads it, unless it says that it is too large.

        Raises:
            UserError: if it is larger, cannot be read or does not have its size.
        """
        if self.size > at_most:
            raise UserError(
                f"{self.name!r} claims {self.size:,} bytes, more than the {at_most:,} of any such "
                "file: get the archive again"
            )
        contents = self.read()
        if len(contents) != self.size:
            raise UserError(f"{self.name!r} is cut off: get it again")
        return contents
