"""The small files of a sweep whose output is elsewhere, kept on the machine that directs it.

Plans, states and tables look at folders on a disk; here they find logs, summaries and records, and
of the models a list. Start from `Mirror`.
"""

import contextlib
import uuid
from pathlib import Path

from qtdog_tf.files import read_json, write_json
from qtdog_tf.sweep.plan import ATTEMPTS, BROKEN
from qtdog_tf.sweep.record import RECORD
from qtdog_tf.sweep.shared_folder import SharedFolder
from qtdog_tf.training.finish import SUMMARY

# In the folder of a run: the models that are in the shared folder, with their sizes in bytes.
ELSEWHERE = "elsewhere.json"
_LARGE = (".keras", ".npz")
_NOT_HERE = (f"{BROKEN}/", f"{ATTEMPTS}/")


class Mirror:
    """Small files of a shared folder.

    Args:
        shared: the folder.
        folder: on this machine, the sweep's output.
    """

    def __init__(self, shared: SharedFolder, folder: Path) -> None:
        self.shared = shared
        self.folder = Path(folder)

    def bring(self, under: str = "") -> None:
        """Brings what is there under a name, and lists the models of every run.

        Args:
            under: name of a folder or a file. Default: everything.
        """
        sizes = self.shared.sizes(under)
        for name in sorted(sizes, key=lambda name: Path(name).name == SUMMARY):
            if Path(name).suffix in _LARGE or name.startswith(_NOT_HERE):
                continue
            if Path(name).name == SUMMARY:
                self._list_models(Path(name).parent, sizes)
            # What a task at work has replaced since by something newer is no loss.
            with contextlib.suppress(FileNotFoundError):
                self.shared.download(name, self.folder / name)
        if not under:
            for path in self.folder.rglob(ELSEWHERE):
                self._list_models(path.parent.relative_to(self.folder), sizes)

    def _list_models(self, run: Path, sizes: dict[str, int]) -> None:
        models = {
            Path(name).name: size
            for name, size in sizes.items()
            if Path(name).parent == run and Path(name).suffix == ".keras"
        }
        write_json(self.folder / run / ELSEWHERE, models)

    def settle(self) -> None:
        """Moves away there what has been moved away here since it was brought: broken runs."""
        for name in self.shared.sizes():
            run = Path(name).parent
            known = Path(name).name != SUMMARY or name.startswith(f"{BROKEN}/")
            if not known and not (self.folder / name).exists():
                aside = f"{BROKEN}/{run.as_posix()}-{uuid.uuid4().hex[:8]}"
                self.shared.move(run.as_posix(), aside)

    def send_records(self) -> None:
        """Sends the record of the sweep and the settings of its groups."""
        for path in [self.folder / RECORD, *self.folder.glob("*/settings.json")]:
            if path.exists():
                self.shared.upload(path, path.relative_to(self.folder).as_posix())


def models_elsewhere(run: Path) -> list[str]:
    """The model files of a run that are whole in a shared folder; none for a run that is here."""
    path = run / ELSEWHERE
    return list(read_json(path)) if path.exists() else []
