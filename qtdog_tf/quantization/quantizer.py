"""The LSQ weight quantizer on TFMOT's `Quantizer` interface.

One class, two hosts: `QuantizeWrapper` of this package (Keras 3), and TFMOT's own wrapper on a
`tf_keras` model. Hence the rules it keeps: `add_weight` with keywords only, initializers as
strings, and `tf.convert_to_tensor` on whatever the host hands over.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from qtdog_tf._tfmot import Quantizer
from qtdog_tf.quantization import lsq

STEP_SIZE = "step_size"


def at_least_minimum(step_size: tf.Tensor) -> tf.Tensor:
    """Variable constraint that keeps a step size positive (see `lsq.MIN_STEP_SIZE`)."""
    return tf.maximum(tf.convert_to_tensor(step_size), lsq.MIN_STEP_SIZE)


def is_step_size(variable: Any) -> bool:
    """Whether a variable of a model holds step sizes.

    Told by its constraint, which only step sizes have: a model of somebody else may well have a
    weight that is called `step_size`.
    """
    return getattr(variable, "constraint", None) is at_least_minimum


@keras.saving.register_keras_serializable("qtdog_tf")
class LSQWeightQuantizer(Quantizer):
    """Quantizes a weight with learned step sizes: w_q = s * round(clip(w / s, q_min, q_max)).

    `build` sees only a shape, so it creates step sizes of 1; `initialize` sets them from the
    weights when quantization starts.

    Args:
        bits: bit width of the codes, 2 to 8. Default 7, the paper's.
        channel_axes: axes of the weight with step sizes of their own: (-1,) for Conv2D and Dense,
            (-2, -1) for DepthwiseConv2D, () for one step size a layer.
        narrow_range: drop the lowest code. Default: true at 8 bits only.
        init: rule of `lsq.initial_step_size`: "mean" (paper) or "max".
        grad_scale: rule of `lsq.gradient_scale`: "tensor" (released code), "channel" or "none".

    Raises:
        ValueError: for a value outside those named.
    """

    def __init__(
        self,
        bits: int = 7,
        channel_axes: Sequence[int] = (-1,),
        narrow_range: bool | None = None,
        init: str = "mean",
        grad_scale: str = "tensor",
    ) -> None:
        self.code_range = lsq.CodeRange(bits, narrow_range)
        if init not in lsq.INIT_RULES:
            raise ValueError(f"init must be one of {lsq.INIT_RULES}, received {init!r}")
        if grad_scale not in lsq.GRAD_SCALE_RULES:
            raise ValueError(
                f"grad_scale must be one of {lsq.GRAD_SCALE_RULES}, received {grad_scale!r}"
            )
        self.channel_axes = tuple(channel_axes)
        self.init = init
        self.grad_scale = grad_scale

    @property
    def bits(self) -> int:
        """Bit width of the codes."""
        return self.code_range.bits

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """Creates the step sizes as a trainable weight of `layer`.

        Args:
            tensor_shape: shape of the weight that will be quantized.
            name: name of that weight; the new variable is called `<name>_step_size`.
            layer: the host's wrapper, which owns the new variable.

        Returns:
            `{"step_size": variable}`, float32, of shape `lsq.step_size_shape`.
        """
        step_size = layer.add_weight(
            name=f"{name}_{STEP_SIZE}",
            shape=lsq.step_size_shape(tuple(tensor_shape), self.channel_axes),
            initializer="ones",
            dtype="float32",
            trainable=True,
            constraint=at_least_minimum,
        )
        return {STEP_SIZE: step_size}

    def __call__(
        self, inputs: Any, training: Any, weights: dict[str, Any], **kwargs: Any
    ) -> tf.Tensor:
        """Returns the weight rounded to its lattice, in training and inference alike.

        Args:
            inputs: the latent weight, a float variable or tensor; brought to float32.
            training: not used; part of TFMOT's contract.
            weights: what `build` returned.
            **kwargs: not used; part of TFMOT's contract.

        Returns:
            A float32 tensor of the weight's shape.
        """
        weight = tf.cast(tf.convert_to_tensor(inputs), tf.float32)
        step_size = tf.convert_to_tensor(weights[STEP_SIZE])
        scale = lsq.gradient_scale(
            weight.shape, self.code_range, self.channel_axes, self.grad_scale
        )
        return lsq.fake_quantize(weight, step_size, self.code_range, self.channel_axes, scale)

    def initialize(self, weight: Any, weights: dict[str, Any]) -> None:
        """Sets the step sizes from the present value of `weight`."""
        value = lsq.initial_step_size(
            tf.convert_to_tensor(weight), self.code_range, self.channel_axes, self.init
        )
        weights[STEP_SIZE].assign(value)

    def codes(self, weight: Any, weights: dict[str, Any]) -> tf.Tensor:
        """The integers of `weight` (int32, of its shape)."""
        step_size = tf.convert_to_tensor(weights[STEP_SIZE])
        return tf.cast(
            lsq.codes(tf.convert_to_tensor(weight), step_size, self.code_range), tf.int32
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "bits": self.code_range.bits,
            "channel_axes": list(self.channel_axes),
            "narrow_range": self.code_range.narrow_range,
            "init": self.init,
            "grad_scale": self.grad_scale,
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LSQWeightQuantizer) and self.get_config() == other.get_config()

    def __hash__(self) -> int:
        return hash(repr(sorted(self.get_config().items())))
