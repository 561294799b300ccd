"""Weight quantizers on TFMOT's `Quantizer` interface: their base, and LSQ.

One class, two hosts: `QuantizeWrapper` of this package (Keras 3), and TFMOT's own wrapper on a
`tf_keras` model. Hence the rules it keeps: `add_weight` with keywords only, initializers as
strings, and `tf.convert_to_tensor` on whatever the host hands over.
"""

import math
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


class WeightQuantizer(Quantizer):
    """What the weight quantizers here have in common: one float32 variable, a scale a channel.

    As their variables are alike, a wrapped layer can be given another quantizer when quantization
    starts, and all of them fork from one float phase.

    Args:
        bits: bit width of what a weight becomes, 2 to 8.
        channel_axes: axes of the weight with scales of their own: (-1,) for Conv2D and Dense,
            (-2, -1) for DepthwiseConv2D, () for one scale a layer.

    Raises:
        ValueError: for other bits.

    Attributes:
        has_lattice: whether a weight becomes step size times code; without, it stays float.
    """

    has_lattice = False

    def __init__(
        self,
        bits: int,
        channel_axes: Sequence[int] = (-1,),
        narrow_range: bool | None = None,
    ) -> None:
        self.code_range = lsq.CodeRange(bits, narrow_range)
        self.channel_axes = tuple(channel_axes)

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

    def initialize(self, weight: Any, weights: dict[str, Any]) -> None:
        """Sets the scales from the present value of `weight`."""
        raise NotImplementedError

    def attach(self, weight: Any) -> None:
        """Takes note that `weight` is trained under this quantizer from now on."""
        return

    def detach(self, weight: Any) -> None:
        """Takes note that `weight` gets another quantizer."""
        return

    @property
    def variables(self) -> list[Any]:
        """Variables beside the model's that decide how training goes on."""
        return []

    @property
    def holds_codes(self) -> bool:
        """Whether every weight is one of at most 2^bits values now."""
        return self.has_lattice

    def scales(self, weights: dict[str, Any]) -> int:
        """How many float32 numbers a file needs to make weights of codes.

        Args:
            weights: what `build` returned.
        """
        return math.prod(weights[STEP_SIZE].shape)

    def codes(self, weight: Any, weights: dict[str, Any]) -> tf.Tensor:
        """The code of each weight, int32, of its shape."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.get_config() == other.get_config()

    def __hash__(self) -> int:
        return hash(repr(sorted(self.get_config().items())))


@keras.saving.register_keras_serializable("qtdog_tf")
class LSQWeightQuantizer(WeightQuantizer):
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

    has_lattice = True

    def __init__(
        self,
        bits: int = 7,
        channel_axes: Sequence[int] = (-1,),
        narrow_range: bool | None = None,
        init: str = "mean",
        grad_scale: str = "tensor",
    ) -> None:
        super().__init__(bits, channel_axes, narrow_range)
        if init not in lsq.INIT_RULES:
            raise ValueError(f"init must be one of {lsq.INIT_RULES}, received {init!r}")
        if grad_scale not in lsq.GRAD_SCALE_RULES:
            raise ValueError(
                f"grad_scale must be one of {lsq.GRAD_SCALE_RULES}, received {grad_scale!r}"
            )
        self.init = init
        self.grad_scale = grad_scale

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
