"""The file of the loss on a plane, `<output>/plane.json`, and whether it is there already.

Start from `PlaneRecord`.
"""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from qtdog_tf.analysis.catalog import Subject
from qtdog_tf.analysis.plane import PlaneSettings
from qtdog_tf.analysis.record import FiguresFile, identity_of_settings, model_digest, run_label
from qtdog_tf.errors import UserError
from qtdog_tf.files import write_json

_MODELS = 3


@dataclasses.dataclass(frozen=True)
class PlaneRecord(FiguresFile):
    """Where the loss in a plane belongs.

    Attributes:
        output: folder of all analyses.
        subjects: the three models by their labels; the images are those of the first.
        settings: how.
    """

    output: Path
    subjects: dict[str, Subject]
    settings: PlaneSettings

    @classmethod
    def through(
        cls, output: Path, subjects: Iterable[Subject], settings: PlaneSettings
    ) -> "PlaneRecord":
        """The record of the plane through models.

        Raises:
            UserError: if there are not three.
        """
        models = {f"{run_label(s.run.path)}, {s.model}": s for s in subjects}
        if len(models) != _MODELS:
            raise UserError(
                f"a plane goes through three models; --runs and --models give {len(models)}"
            )
        return cls(output, models, settings)

    @property
    def path(self) -> Path:
        """The file of figures."""
        return self.output / "plane.json"

    def write(self, result: dict[str, Any], seconds: float, command: str) -> None:
        """Writes what was found in one go, see `Record.describe` for the arguments."""
        head = {"analysis": "plane", "identity": self.identity(), "command": command}
        write_json(self.path, {**head, "seconds": round(seconds, 1), "result": result})

    def identity(self) -> dict[str, Any]:
        """What must be the same for figures to be these figures, as plain values."""
        first = next(iter(self.subjects.values()))
        # The order of the models is that of the coordinates.
        models = {
            f"model {number}": f"{label}: {model_digest(subject)}"
            for number, (label, subject) in enumerate(self.subjects.items(), 1)
        }
        images = {"images of a part": first.limit, "their seed": first.seed}
        return {**models, **images, **identity_of_settings("plane", self.settings)}
