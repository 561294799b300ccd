"""Sends what a task writes on a machine's own disk to a shared folder while it works."""

import os
import shutil
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from qtdog_tf.errors import UserError
from qtdog_tf.files import is_unfinished
from qtdog_tf.sweep.plan import ATTEMPTS, LOGS
from qtdog_tf.sweep.shared_folder import SharedFolder, order_of_upload
from qtdog_tf.training.finish import SUMMARY

# Folders in which a file that is gone here has to go there too.
_ROTATING = ("checkpoints", "tensorboard")
_CHECKPOINTS = "step-*.npz"
# Files that never change under their name; others are copied before they are sent.
_LASTING = (".npz", ".keras")
_LOOK_SECONDS = 1.0


class Superseded(UserError):
    """Another attempt at the task has begun."""


class Upload:
    """The way of one task's files into a shared folder.

    Args:
        shared: where they go.
        scratch: folder on this machine that stands for the shared one.
        name: of the task, which is that of its folder in both.
        output: what paths within `scratch` become in JSON files: the sweep's name of the folder.

    Attributes:
        superseded: whether another attempt at the task has been seen to have begun.
    """

    def __init__(self, shared: SharedFolder, scratch: Path, name: str, output: str) -> None:
        self._shared = shared
        self._scratch = scratch
        self._name = name
        self._output = output
        self._token = uuid.uuid4().hex
        self._there = set(shared.sizes(name))
        self._sent: dict[str, tuple[int, ...]] = {}
        self._reached: list[str] = []
        self.superseded = False
        shared.write_text(self._attempt, self._token)

    @property
    def _attempt(self) -> str:
        return f"{ATTEMPTS}/{self._name}"

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Within this context files are sent after each checkpoint, and once more at the end.

        Raises:
            Superseded: if another attempt at the task has begun; nothing is sent then.
        """
        ended = threading.Event()
        thread = threading.Thread(target=self._watch, args=(ended,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.send()

    def _watch(self, ended: threading.Event) -> None:
        while not ended.wait(_LOOK_SECONDS):
            if self._milestones() == self._reached:
                continue
            try:
                self.send()
            except Superseded:
                self.superseded = True
                return
            except Exception:  # a network has more errors than can be named
                # The next look tries again, and so does the end, whose error is not passed over.
                continue

    def _milestones(self) -> list[str]:
        """Checkpoints and summaries that are there."""
        folder = self._scratch / self._name
        found = [*folder.rglob(_CHECKPOINTS), *folder.rglob(SUMMARY)]
        return sorted(str(path) for path in found)

    def send(self) -> None:
        """Sends what is new, summaries last; removes there the checkpoints that are gone here.

        Raises:
            Superseded: if another attempt at the task has begun; nothing is sent then.
        """
        if self._shared.read_text(self._attempt) != self._token:
            raise Superseded(f"another attempt at {self._name} has begun, so this one ends")
        reached = self._milestones()
        copy = self._scratch / f".sending-{self._token}"
        try:
            states = self._copy(copy)
            for name in order_of_upload(states):
                if self._sent.get(name) != states[name]:
                    self._shared.upload(copy / name, name)
                    self._sent[name] = states[name]
            self._forget(states)
        finally:
            shutil.rmtree(copy, ignore_errors=True)
        self._reached = reached

    def _copy(self, copy: Path) -> dict[str, tuple[int, ...]]:
        """Copies what there is at one moment; returns what tells each file from a later one."""
        while True:
            shutil.rmtree(copy, ignore_errors=True)
            # Checkpoints first: what one refers to stays as long as it does.
            found = sorted((self._scratch / self._name).rglob("*"), key=_checkpoints_first)
            paths = [path for path in found if path.is_file() and not is_unfinished(path)]
            log = self._scratch / LOGS / f"{self._name}.log"
            states = {
                path.relative_to(self._scratch).as_posix(): state
                for path in [*paths, log]
                if (state := self._copy_file(path, copy / path.relative_to(self._scratch)))
            }
            # While the newest one of a folder is there, what it refers to was there to be copied.
            newest = {path.parent: path for path in paths if _is_checkpoint(path)}
            if all(path.exists() for path in newest.values()):
                return states

    def _copy_file(self, path: Path, copy: Path) -> tuple[int, ...]:
        """Copies a file; returns its state, or nothing if it has gone meanwhile."""
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            state = path.stat()
            if path.suffix in _LASTING:
                os.link(path, copy)
            elif path.suffix == ".json":
                text = path.read_text(encoding="utf-8")
                copy.write_text(text.replace(str(self._scratch), self._output), encoding="utf-8")
            else:
                shutil.copyfile(path, copy)
        except FileNotFoundError:
            return ()
        return state.st_ino, state.st_size, state.st_mtime_ns

    def _forget(self, names: dict[str, tuple[int, ...]]) -> None:
        self._there |= names.keys()
        gone = [name for name in self._there - names.keys() if self._rotates(name)]
        # What a checkpoint refers to goes after it.
        self._shared.remove(reversed(order_of_upload(gone)))
        self._there -= set(gone)

    def _rotates(self, name: str) -> bool:
        """Whether a file lies in a folder that is here too, and keeps the newest files only."""
        folder = Path(name).parent
        return folder.name in _ROTATING and (self._scratch / folder.parent).is_dir()


def _is_checkpoint(path: Path) -> bool:
    return path.match(_CHECKPOINTS)


def _checkpoints_first(path: Path) -> tuple[bool, str]:
    return not _is_checkpoint(path), path.name


def wanted_here(names: Sequence[str]) -> list[str]:
    """Of the files that an earlier attempt has sent, those that the next one goes on from.

    Args:
        names: of all files of the task.
    """
    finished = {Path(name).parent for name in names if Path(name).name == SUMMARY}
    return [
        name
        for name in names
        if not (Path(name).suffix == ".keras" and Path(name).parent in finished)
    ]
