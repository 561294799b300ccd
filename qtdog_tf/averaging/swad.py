"""SWAD: the mean of the weights after every step, over the valley of the validation loss."""

from collections.abc import Sequence
from typing import Any, ClassVar

import keras
import numpy as np

from qtdog_tf.averaging.base import AverageState, WeightAverage
from qtdog_tf.averaging.loss_valley import PAPER, LossValley
from qtdog_tf.averaging.segment_mean import SegmentMean
from qtdog_tf.averaging.segments import Segment
from qtdog_tf.records import Evaluation


@keras.saving.register_keras_serializable("qtdog_tf")
class StochasticWeightAverageDensely(WeightAverage):
    """SWAD with the LossValley schedule (method, section 5.1); see `LossValley` for the rules.

    Every evaluation closes a segment: the mean of the weights after every step since the one
    before. The loss that decides is the mean cross-entropy on the source domains' validation parts,
    `Evaluation.source_loss`. What is applied is what training would return if it ended now.

    The released code stops training when the valley is over. Here training goes on, since other
    rows of the same run need it, and the average stays as it is. As in the released code all of it
    begins anew when quantization starts.

    On the host there are at most `max(converge, tolerance)` segments and one average, each as large
    as the trainable variables. They are not among `variables`: a `.keras` file has only the
    segment that is open, and a run is resumed with `capture` and `restore`.

    Args:
        converge: N_s, evaluations within which the loss must not fall any more. Default 3.
        tolerance: N_e, evaluations that end the valley if the loss is too high in all. Default 6.
        ratio: r, the part by which the loss may rise. Default 0.3 (published: 0.2 on VLCS).
        mode: "paper" (default) or "code", see `LossValley`.

    Raises:
        ValueError: as `LossValley`.
    """

    name: ClassVar[str] = "swad"

    def __init__(
        self, converge: int = 3, tolerance: int = 6, ratio: float = 0.3, mode: str = PAPER
    ) -> None:
        super().__init__()
        self._segment = SegmentMean()
        self._restarts = 0
        self._valley = LossValley(converge, tolerance, ratio, mode)

    def build(self, variables: Sequence[Any]) -> None:
        """Creates the mean of the open segment for `variables` (Keras variables)."""
        super().build(variables)
        self._segment.build(variables)

    @property
    def variables(self) -> list[Any]:
        """Those of the open segment."""
        return self._segment.variables

    def update(self, steps: Any, quantized_steps: Any) -> None:
        """Takes the present weights into the open segment; see `WeightAverage`."""
        self._segment.update(quantized_steps)

    def evaluated(self, evaluation: Evaluation) -> None:
        """Closes the segment with the evaluation's loss and opens the next.

        Raises:
            ValueError: if the step is not after that of the last evaluation.
        """
        if self._valley.dead:
            return
        self._valley.add(Segment(evaluation.step, evaluation.source_loss, self._segment.values()))
        self._segment.restart()

    def restart(self, step: int) -> None:
        """Begins anew; see `WeightAverage`."""
        self.begin_anew(step)

    def begin_anew(self, step: int) -> None:
        """Forgets everything, the open segment included."""
        # Steps may come again after that, and names of arrays must not.
        self._restarts += 1
        self._valley = self._new_valley()
        self._segment.restart()

    def _new_valley(self) -> LossValley:
        return LossValley(**self.get_config())

    @property
    def ready(self) -> bool:
        """Whether a segment has been closed."""
        return self._segment.built and self._valley.ready

    def values(self) -> list[np.ndarray]:
        """The average of each variable, if training ended now."""
        return self._valley.final()

    @property
    def _prefix(self) -> str:
        return f"{self.name}-{self._restarts}"

    def capture(self) -> AverageState:
        """The closed segments and the average, as named sets of arrays that never change."""
        state = self._valley.capture(self._prefix)
        return AverageState({"restarts": self._restarts, "valley": state.plain}, state.arrays)

    def restore(self, state: AverageState) -> None:
        """Puts back what `capture` returned; see `WeightAverage`."""
        self._restarts = state.plain["restarts"]
        self._valley = self._new_valley()
        self._valley.restore(AverageState(state.plain["valley"], state.arrays), self._prefix)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        valley = self._valley
        return {
            "converge": valley.converge,
            "tolerance": valley.tolerance,
            "ratio": valley.ratio,
            "mode": valley.mode,
        }
