"""One process at a time in a folder.

The lock is the system's (flock), so it ends with its process, however that ends.
"""

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from qtdog_tf.errors import UserError

_BUSY = (errno.EWOULDBLOCK, errno.EACCES)


class Held(UserError):
    """Another process holds the lock."""


@contextlib.contextmanager
def hold(folder: Path, work: str = "trained") -> Iterator[IO[str]]:
    """Within this context no other process of this kind works in `folder`.

    The lock is a file beside the folder, `.<name>.lock`, which stays there.

    Args:
        folder: it need not exist, its parent is made.
        work: what is done to it, as the sentence says it: "is being trained by".

    Yields:
        The open file. A process that inherits it holds the lock too, until it ends.

    Raises:
        Held: if another process holds it, naming the process.
        UserError: if the file system has no locks.
    """
    path = folder.parent / f".{folder.name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _BUSY:
                raise UserError(
                    f"{path} cannot be locked ({os.strerror(error.errno or 0)}), so that two "
                    "processes might write to one run: choose an output folder on another disk"
                ) from error
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise Held(
                f"{folder} is being {work} by {holder}: wait for it, or choose another output "
                "folder"
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield file
