"""What every average of the weights can do, so that a trainer need not know which one it has."""

import abc
import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from qtdog_tf.records import Evaluation


@dataclasses.dataclass(frozen=True)
class AverageState:
    """What an average remembers outside its variables, for checkpoints.

    Attributes:
        plain: values that JSON can hold.
        arrays: sets of arrays by name. Within one run a name never stands for two different
            contents, so a checkpoint may write each set once and refer to it from then on.
    """

    plain: dict[str, Any] = dataclasses.field(default_factory=dict)
    arrays: dict[str, list[np.ndarray]] = dataclasses.field(default_factory=dict)


class WeightAverage(abc.ABC):
    """An average of a model's trainable variables.

    Statistics of batch normalization are left as they are: where they learn, `BatchStatistics` in
    `qtdog_tf.training` measures them anew for the averaged weights.

    Hand it to `QuantizationOptimizer`, which builds it, updates it inside the train function and
    lists its variables with its own. The trainer then calls, in this order: `restart` when
    quantization starts; `begin_anew` where weights of before can be no part of a mean (INQ's last
    portion); after every evaluation of the weights as trained, `evaluated`; and where the average
    itself is to be evaluated or saved, `applied`.

    Latent weights and step sizes are averaged apart and quantized afterwards, so that the averaged
    model is on a lattice too.

    Attributes:
        name: kind of weights in records ("sma", "swa", "swad").
    """

    name: ClassVar[str]

    def __init__(self) -> None:
        self._sources: list[Any] = []

    def build(self, variables: Sequence[Any]) -> None:
        """Begins to watch `variables`; called by the optimizer, maybe while it is traced.

        Args:
            variables: the model's trainable Keras variables, step sizes included.
        """
        self._sources = list(variables)

    @property
    @abc.abstractmethod
    def variables(self) -> list[Any]:
        """The Keras variables of the average itself, which belong into every checkpoint."""

    def update(self, steps: Any, quantized_steps: Any) -> None:
        """Takes in what a step made of the weights; part of the train function.

        Args:
            steps: updates of the weights so far, this one included; integer tensor.
            quantized_steps: updates of the step sizes so far; integer tensor.
        """
        return  # AutoGraph cannot convert a function that is only a docstring.

    def evaluated(self, evaluation: Evaluation) -> None:
        """Takes note of an evaluation of the weights as trained; called once for each.

        Args:
            evaluation: the record. The model's variables hold the weights it is about.
        """
        return  # Not every average looks at evaluations.

    def restart(self, step: int) -> None:
        """Takes note that quantization starts; an average that begins anew then does it here.

        Args:
            step: step K, whose update will be the first quantized one.
        """
        return  # Not every average begins anew.

    @abc.abstractmethod
    def begin_anew(self, step: int) -> None:
        """Forgets what it has taken in: weights of before must not count any more.

        Args:
            step: updates of the weights so far.
        """

    @property
    @abc.abstractmethod
    def ready(self) -> bool:
        """Whether there is an average to apply now."""

    @abc.abstractmethod
    def values(self) -> list[Any]:
        """The average of each variable, in the order of `build`; only if `ready`."""

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Within this context, the model's variables hold their averages.

        Raises:
            ValueError: if there is no average, see `ready`.
        """
        if not self.ready:
            raise ValueError(
                f"there is no average yet: {self.name!r} belongs to an optimizer that has not been "
                "built, or has seen no weights that count"
            )
        latest = [variable.numpy() for variable in self._sources]
        for variable, value in zip(self._sources, self.values(), strict=True):
            variable.assign(value)
        try:
            yield
        finally:
            for variable, value in zip(self._sources, latest, strict=True):
                variable.assign(value)

    def capture(self) -> AverageState:
        """What is to be remembered beside `variables`. Default: nothing."""
        return AverageState()

    def restore(self, state: AverageState) -> None:
        """Puts back what `capture` returned; whoever calls it restores `variables` too.

        Args:
            state: of an average of the same class and settings.

        Raises:
            ValueError: if it is the state of another class.
        """
        if state.plain or state.arrays:
            raise ValueError(
                f"{self.name!r} keeps nothing outside its variables, received {state.plain}"
            )

    @abc.abstractmethod
    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "WeightAverage":
        """The inverse of `get_config`."""
        return cls(**config)
