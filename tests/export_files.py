"""Converts small networks, each kind once in a module of tests."""

import dataclasses
from pathlib import Path

import keras
import numpy as np

from qtdog_tf.export.build import Built, build_file, plan_graph
from qtdog_tf.export.checks.float_files import check_float_file
from qtdog_tf.export.checks.parity import Check, check_file
from qtdog_tf.export.graph import ops
from qtdog_tf.export.progress import Stages
from qtdog_tf.export.settings import ExportSettings
from qtdog_tf.export.tflite.runner import open_file
from tests.export_models import random_pixels, shared_tiny

QUIET = Stages(shown=False)


@dataclasses.dataclass(frozen=True)
class Converted:
    """A file and what it was made of."""

    path: Path
    model: keras.Model
    graph: ops.Graph
    built: Built
    settings: ExportSettings
    pixels: np.ndarray

    def checks(self, path: Path | None = None, allowed: float = 0.0) -> list[Check]:
        """The checks of the parity gate on the file, or on a changed one."""
        path = path or self.path
        if not self.settings.is_integer:
            return check_float_file(path, self.built.graph, allowed)
        with open_file(path) as classifier:
            inputs = classifier.input_codes(self.pixels[:2])
        return check_file(path, self.graph, self.built.graph, self.built.dead, inputs)

    def failed(self, path: Path | None = None, allowed: float = 0.0) -> set[str]:
        """The names of the checks that fail."""
        return {check.name for check in self.checks(path, allowed) if not check.passed}

    def predict(self) -> np.ndarray:
        """What the file gives for the pixels."""
        with open_file(self.path) as classifier:
            return classifier.predict(self.pixels)


class Files:
    """Files by kind, converted when they are first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, Converted] = {}

    def get(self, kind: str, input_type: str = "uint8", bits: int = 7) -> Converted:
        """The tiny classifier as a file."""
        narrow = True if kind == "int4" else None
        model = shared_tiny(bits=bits, narrow_range=narrow)
        return self.of(f"{kind}-{input_type}-{bits}", model, kind, input_type)

    def of(
        self, name: str, model: keras.Model, kind: str = "int8", input_type: str = "uint8"
    ) -> Converted:
        """A model as a file; `name` stands for both."""
        if name not in self._files:
            settings = ExportSettings(kind=kind, input_type=input_type)
            graph, pixels = plan_graph(model, settings), random_pixels(40)
            path, log = self.folder / f"{name}.tflite", self.folder / f"{name}.log"
            built = build_file(graph, path, log, settings, pixels, QUIET)
            self._files[name] = Converted(path, model, graph, built, settings, pixels)
        return self._files[name]
