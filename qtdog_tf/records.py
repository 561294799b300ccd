"""What an evaluation during training measures, as records that go into `results.jsonl`."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

# Roles of domains, parts of a domain (80 % and 20 %, of which half may be for a test), kinds of
# weights.
SOURCE, TARGET = "source", "target"
IN, OUT, TEST = "in", "out", "test"
RAW, SMA, SWA, SWAD = "raw", "sma", "swa", "swad"


@dataclasses.dataclass(frozen=True)
class Score:
    """Accuracy (0 to 1) and mean cross-entropy (nats) on `images` images."""

    accuracy: float
    loss: float
    images: int


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What one evaluation measured.

    Attributes:
        step: the step (from 0) after whose update it was made.
        weights: "raw" (as trained), or the average that was applied: "sma", "swa" or "swad".
        quantized: whether the model ran on quantized weights.
        source: by domain and split ("out" is the validation part; "test" if there is such a part).
        target: by domain and split.
    """

    step: int
    weights: str
    quantized: bool
    source: Mapping[str, Mapping[str, Score]]
    target: Mapping[str, Mapping[str, Score]]

    @property
    def source_accuracy(self) -> float:
        """Mean over source domains of the accuracy on their validation parts."""
        return _mean(parts[OUT].accuracy for parts in self.source.values())

    @property
    def source_loss(self) -> float:
        """Mean over source domains of the cross-entropy on their validation parts."""
        return _mean(parts[OUT].loss for parts in self.source.values())

    def target_accuracy(self, split: str = IN) -> float:
        """Mean over target domains of the accuracy on one part; NaN without a target."""
        return _mean(parts[split].accuracy for parts in self.target.values())

    def to_dict(self) -> dict[str, Any]:
        """As a dictionary of plain values, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Evaluation":
        """The inverse of `to_dict`."""

        def scores(domains: Mapping[str, Any]) -> dict[str, dict[str, Score]]:
            return {d: {s: Score(**v) for s, v in parts.items()} for d, parts in domains.items()}

        return cls(
            step=values["step"],
            weights=values["weights"],
            quantized=values["quantized"],
            source=scores(values["source"]),
            target=scores(values["target"]),
        )


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return float(np.mean(values)) if values else float("nan")
