"""Uniform noise on the weights, the control for quantization (method, section 7.7).

In training a layer computes with w + n, n uniform in [-a, a) and new in every step; in evaluation
with w. Rounding to a step size s changes a weight by up to s / 2, so noise of a = s / 2 has the
size of the rounding error and none of its structure. The paper's control has one a for all weights;
here that is all wrapped kernels, as of quantization.

    n = a (2 u - 1),   u = stateless uniform of (seed, layer, step)

so a run that goes on from a checkpoint draws the same noise, and methods that pass through the
model several times in a step meet the same weights each time. Start from `UniformNoiseQuantizer`.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from qtdog_tf.quantization import lsq
from qtdog_tf.quantization.quantizer import STEP_SIZE, WeightQuantizer


def uniform_noise(shape: Sequence[int], seed: int, layer: int, step: Any) -> tf.Tensor:
    """Uniform in [-1, 1), float32: the same for the same arguments, on any device.

    Args:
        shape: of the result.
        seed: of the run.
        layer: number of the layer.
        step: integer scalar.
    """
    pair = tf.stack([tf.constant(seed, tf.int64), tf.cast(step, tf.int64)])
    key = tf.random.fold_in(pair, layer, alg=tf.random.Algorithm.PHILOX)
    return 2.0 * tf.random.stateless_uniform(shape, key, alg=tf.random.Algorithm.PHILOX) - 1.0


@keras.saving.register_keras_serializable("qtdog_tf")
class UniformNoiseQuantizer(WeightQuantizer):
    """Adds uniform noise to a weight in training, on TFMOT's interface.

    It is for training only: a model that was trained with it is a float model, and is saved as one.
    The amplitude does not learn: its gradient would only tell that less noise fits the data better.

    Args:
        bits: the noise matches LSQ at this bit width: a = s / 2, with s the step size that LSQ
            would start from at that moment, one a channel. Default 7.
        channel_axes: see `LSQWeightQuantizer`.
        init: LSQ's rule for s. Default "mean".
        amplitude: a of the paper, for all weights; then `bits` and `init` do not matter. Default
            None.
        seed: of the run.
        layer: number of the layer.
        step: the variable that counts steps, an optimizer's `iterations`. It is needed in training.

    Raises:
        ValueError: for a value outside those named, or an amplitude that is not above 0.
    """

    def __init__(
        self,
        bits: int = 7,
        channel_axes: Sequence[int] = (-1,),
        init: str = "mean",
        amplitude: float | None = None,
        seed: int = 0,
        layer: int = 0,
        step: Any = None,
    ) -> None:
        super().__init__(bits, channel_axes)
        if init not in lsq.INIT_RULES:
            raise ValueError(f"init must be one of {lsq.INIT_RULES}, received {init!r}")
        if amplitude is not None and not amplitude > 0:
            raise ValueError(f"amplitude must be above 0, received {amplitude!r}")
        self.init = init
        self.amplitude = amplitude
        self.seed = seed
        self.layer = layer
        self.step = step

    def __call__(
        self, inputs: Any, training: Any, weights: dict[str, Any], **kwargs: Any
    ) -> tf.Tensor:
        """The weight with noise in training, and as it is otherwise; float32.

        Args:
            inputs: the weight, a float variable or tensor.
            training: whether to add noise.
            weights: what `build` returned.
            **kwargs: not used; part of TFMOT's contract.

        Raises:
            ValueError: in training without `step`.
        """
        weight = tf.cast(tf.convert_to_tensor(inputs), tf.float32)
        if not training:
            return weight
        if self.step is None:
            raise ValueError("noise needs the count of steps: start it by start_quantization")
        amplitude = tf.stop_gradient(tf.convert_to_tensor(weights[STEP_SIZE])) / 2.0
        return weight + amplitude * uniform_noise(
            weight.shape, self.seed, self.layer, tf.convert_to_tensor(self.step)
        )

    def initialize(self, weight: Any, weights: dict[str, Any]) -> None:
        """Sets the step sizes, 2 a, from the present value of `weight` or the amplitude."""
        step_size = weights[STEP_SIZE]
        if self.amplitude is not None:
            step_size.assign(tf.fill(step_size.shape, 2.0 * self.amplitude))
            return
        value = tf.convert_to_tensor(weight)
        step_size.assign(
            lsq.initial_step_size(value, self.code_range, self.channel_axes, self.init)
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments but `step`, which belongs to one training."""
        return {
            "bits": self.bits,
            "channel_axes": list(self.channel_axes),
            "init": self.init,
            "amplitude": self.amplitude,
            "seed": self.seed,
            "layer": self.layer,
        }
