"""SWA: the mean of weights that are sampled now and then, in the late phase of training."""

from collections.abc import Sequence
from typing import Any, ClassVar

import keras

from qtdog_tf.averaging.base import WeightAverage
from qtdog_tf.averaging.shadows import make_counter, make_shadow, take_in
from qtdog_tf.records import Evaluation


@keras.saving.register_keras_serializable("qtdog_tf")
class StochasticWeightAverage(WeightAverage):
    """The uniform mean of the weights at every evaluation from step `start` on (SWA).

    It begins anew when quantization starts. So a run that quantizes averages from step K on, and
    no step size is taken in that has not been set; a run that does not, from `start` on. The paper
    does not say how its SWA was set; samples at every evaluation from step K = 2000 on are this
    project's choice (method, end of section 5.1).

    Args:
        start: the first step whose weights may be taken in. Default 0: every evaluation since
            the run began or was restarted.

    Raises:
        ValueError: if `start` is negative.
    """

    name: ClassVar[str] = "swa"

    def __init__(self, start: int = 0) -> None:
        if start < 0:
            raise ValueError(f"SWA must start at step 0 or later, received {start}")
        super().__init__()
        self.start = start
        self._shadows: list[Any] = []
        self._samples: Any = None

    def build(self, variables: Sequence[Any]) -> None:
        """Creates the average of each of `variables` (Keras variables) and a count of samples."""
        super().build(variables)
        self._shadows = [make_shadow(variable) for variable in variables]
        self._samples = make_counter("swa_samples")

    @property
    def variables(self) -> list[Any]:
        """The count of samples and the averages: all that SWA remembers."""
        return [self._samples, *self._shadows] if self._shadows else []

    def evaluated(self, evaluation: Evaluation) -> None:
        """Takes the present weights into the mean, if the step counts."""
        if evaluation.step < self.start:
            return
        for variable, shadow in zip(self._sources, self._shadows, strict=True):
            take_in(variable, shadow, self._samples.value)
        self._samples.assign_add(1)

    def restart(self, step: int) -> None:
        """Begins anew; see `WeightAverage`."""
        self.begin_anew(step)

    def begin_anew(self, step: int) -> None:
        """Forgets what was sampled."""
        if self._shadows:
            self._samples.assign(0)

    @property
    def ready(self) -> bool:
        """Whether any weights have been sampled."""
        return bool(self._shadows) and int(self._samples.numpy()) > 0

    def values(self) -> list[Any]:
        """The average of each variable."""
        return [shadow.value for shadow in self._shadows]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"start": self.start}
