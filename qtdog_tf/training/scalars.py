"""What TensorBoard shows beside accuracy and loss: how sure the model is, and of its weights.

    ece/<domain>/<part>          expected calibration error, see `confidence.py`
    confidence/<domain>/<part>   mean probability of the class that is predicted
    weight_norm                  length of all learned weights as one vector, quantized as they run
    codes_used                   part of the codes in use, mean over quantized layers
    frozen                       part of the step sizes that algorithm saqat has frozen
    noise                        rms of (w_q - w) * sqrt(12) / s, mean over quantized layers: 1 for
                                 noise uniform over a step size

They are no part of the records that models are selected by, and go to `scalars.jsonl` beside
`results.jsonl`: a run that goes on from a checkpoint has each of them once. Start from
`ScalarCollector`.
"""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from qtdog_tf.errors import UserError, one_line
from qtdog_tf.quantization import quantize_wrappers
from qtdog_tf.quantization.lsq import CodeRange
from qtdog_tf.quantization.quantizer import STEP_SIZE, is_step_size
from qtdog_tf.records import RAW, Evaluation
from qtdog_tf.training.confidence import confidences, reliability
from qtdog_tf.training.evaluation import Part


@dataclasses.dataclass(frozen=True)
class Scalars:
    """The scalars of one evaluation.

    Attributes:
        step: of the evaluation.
        weights: kind of weights, see `Evaluation`.
        values: by name, see above.
    """

    step: int
    weights: str
    values: Mapping[str, float]


class ScalarCollector:
    """Listener and observer of `DomainEvaluation` that keeps its scalars until it is complete."""

    def __init__(self) -> None:
        self._values: dict[tuple[int, str], dict[str, float]] = {}

    def observe(self, step: int, weights: str, part: Part, logits: np.ndarray) -> None:
        """Takes what the logits [n, classes] of a part say about confidence."""
        sure = confidences(logits)
        bins = reliability(sure, logits.argmax(axis=1) == part.labels)
        values = self._values.setdefault((step, weights), {})
        values[f"ece/{part.domain}/{part.split}"] = bins.error
        values[f"confidence/{part.domain}/{part.split}"] = float(sure.mean())

    def __call__(self, evaluation: Evaluation, model: keras.Model) -> None:
        """Takes what is to be said about the weights, which the model holds now."""
        values = self._values.setdefault((evaluation.step, evaluation.weights), {})
        values.update(weight_scalars(model))
        if evaluation.weights == RAW and hasattr(model, "algorithm"):
            values.update(model.algorithm.scalars)

    def take(self, step: int) -> list[Scalars]:
        """Gives away the scalars of a step; what was left of broken-off evaluations is dropped."""
        found, self._values = self._values, {}
        return [Scalars(s, weights, values) for (s, weights), values in found.items() if s == step]


def weight_scalars(model: keras.Model) -> dict[str, float]:
    """The scalars that the weights give.

    Args:
        model: float or quantized. Frozen weights of quantized layers count as they do while they
            learn; those of layers that are not trainable do not.

    Returns:
        "weight_norm"; of a quantized model also "codes_used" and "noise", see above.
    """
    used, noise = [], []
    values: dict[int, Any] = {id(v): v for v in model.trainable_variables if not is_step_size(v)}
    for wrapper in quantize_wrappers(model):
        for weight, quantizer, variables in wrapper.quantized_weights:
            value = tf.cast(tf.convert_to_tensor(weight), tf.float32)
            if wrapper.quantizes:
                codes, step_size = quantizer.codes(weight, variables), variables[STEP_SIZE]
                used.append(_part_used(codes.numpy(), quantizer.code_range))
                position, codes = value / step_size, tf.cast(codes, tf.float32)
                noise.append(
                    math.sqrt(12 * _sum_of_squares(codes - position) / math.prod(weight.shape))
                )
                value = step_size * codes
            if wrapper.trainable and wrapper.layer.trainable:
                values[id(weight)] = value
    scalars = {"weight_norm": math.sqrt(sum(_sum_of_squares(v) for v in values.values()))}
    if used:
        scalars |= {"codes_used": float(np.mean(used)), "noise": float(np.mean(noise))}
    return scalars


def _part_used(codes: np.ndarray, code_range: CodeRange) -> float:
    levels = code_range.q_max - code_range.q_min + 1
    return float(np.mean(np.bincount(codes.ravel() - code_range.q_min, minlength=levels) > 0))


def _sum_of_squares(value: Any) -> float:
    return float(tf.reduce_sum(tf.square(value)))


class ScalarsLog:
    """The scalars of a run, one JSON object a line.

    Args:
        path: the `scalars.jsonl`.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def append(self, scalars: Iterable[Scalars]) -> None:
        """Adds the scalars of a step."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(dataclasses.asdict(s), sort_keys=True) + "\n" for s in scalars]
        with self.path.open("a", encoding="utf-8") as file:
            file.write("".join(lines))

    def read(self) -> list[Scalars]:
        """All scalars, in the order of the file.

        Raises:
            UserError: if a line is damaged.
        """
        if not self.path.exists():
            return []
        scalars = []
        for number, line in enumerate(self.path.read_bytes().splitlines(), 1):
            try:
                found = Scalars(**json.loads(line))
                values = {str(name): float(value) for name, value in found.values.items()}
                scalars.append(Scalars(int(found.step), str(found.weights), values))
            except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
                raise UserError(
                    f"{self.path}, line {number} is damaged: {one_line(error)}"
                ) from error
        return scalars
