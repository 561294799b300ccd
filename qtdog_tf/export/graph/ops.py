"""The deploy graph: what a trained network does, as a short list of operations with plain arrays.

Keras layers, wrappers and nested models are gone; BatchNorm is a scale and an offset until `fold`
puts it into a convolution. One list serves every export kind, the calibration pass and the checks.

Start with `Graph`; `lower` makes one from a Keras model.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

INT8_MAX = 127  # weights use the symmetric range of TFLite's kernels: -127 to 127
NO_CLIP = (-np.inf, np.inf)
# Name, inputs, shape and layer of an `Op`.
Common = tuple[str, tuple[str, ...], tuple[int, ...], str]


@dataclasses.dataclass(frozen=True, eq=False)
class Kernel:
    """Weights of a convolution: on a lattice, or float.

    Attributes:
        scale: float64 [out], step size of each output channel.
        codes: int8 [height, width, in / groups, out]; None if the weights are float.
        values: float32 of the same shape, for weights that are not on a lattice.
        bits: bit width that the codes were trained with; 8 where export rounded them; 32 for float.
        learned: whether the codes come from training, and not from rounding at export.
    """

    scale: np.ndarray
    codes: np.ndarray | None = None
    values: np.ndarray | None = None
    bits: int = 32
    learned: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """[height, width, in / groups, out]."""
        stored = self.codes if self.codes is not None else self.values
        assert stored is not None
        return stored.shape

    def to_float(self) -> np.ndarray:
        """The weights as float32; of codes, each is the product rounded once."""
        if self.codes is None:
            assert self.values is not None
            return (self.values.astype(np.float64) * self.scale).astype(np.float32)
        return (self.codes * self.scale).astype(np.float32)


@dataclasses.dataclass(frozen=True, eq=False)
class Op:
    """One operation.

    Attributes:
        name: unique in its graph; the Keras layer's, after those of the models around it.
        inputs: names of the operations whose outputs it takes.
        shape: of its output, without the batch axis.
        layer: what to call it before a person: name and class of the Keras layer.
    """

    name: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    layer: str


@dataclasses.dataclass(frozen=True, eq=False)
class Image(Op):
    """The input: raw pixels 0..255, of which the graph sees `pixel * scale + offset`."""

    scale: float = 1.0
    offset: float = 0.0


@dataclasses.dataclass(frozen=True, eq=False)
class Conv(Op):
    """Convolution, bias, clipping; a dense layer on a vector is a 1x1 convolution.

    Attributes:
        kernel: its weights.
        bias: float64 [out].
        strides, dilation: pixels, (vertical, horizontal).
        padding: "SAME" or "VALID".
        groups: groups of channels; as many as input channels in a depthwise convolution.
        clip: lowest and highest output; (0, inf) after a ReLU.
    """

    kernel: Kernel
    bias: np.ndarray
    strides: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: str = "VALID"
    groups: int = 1
    clip: tuple[float, float] = NO_CLIP

    @property
    def is_depthwise(self) -> bool:
        """Whether each input channel has filters of its own."""
        return self.groups > 1 and self.kernel.shape[2] == 1


@dataclasses.dataclass(frozen=True, eq=False)
class Affine(Op):
    """`x * scale + offset` for each channel: a BatchNorm or a Rescaling that is not folded yet.

    Attributes:
        scale, offset: float64 [channels].
    """

    scale: np.ndarray
    offset: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class ReverseChannels(Op):
    """RGB to BGR."""


@dataclasses.dataclass(frozen=True, eq=False)
class Add(Op):
    """Sum of two tensors, clipped."""

    clip: tuple[float, float] = NO_CLIP


@dataclasses.dataclass(frozen=True, eq=False)
class Multiply(Op):
    """Product of two tensors; an axis of length 1 is stretched to the other's (squeeze-excite)."""


@dataclasses.dataclass(frozen=True, eq=False)
class HardSwish(Op):
    """`x * min(max(x + 3, 0), 6) / 6`, of MobileNetV3."""


@dataclasses.dataclass(frozen=True, eq=False)
class Clip(Op):
    """A ReLU of any kind."""

    clip: tuple[float, float] = NO_CLIP


@dataclasses.dataclass(frozen=True, eq=False)
class Move(Op):
    """Base of what only moves values, or adds zeros: the output has the range of the input."""


@dataclasses.dataclass(frozen=True, eq=False)
class Pad(Move):
    """Zeros around an image, ((top, bottom), (left, right)), or tokens, ((before, after),)."""

    pads: tuple[tuple[int, int], ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Pool(Op):
    """Maximum or mean over windows."""

    kind: str  # "max" or "average"
    size: tuple[int, int]
    strides: tuple[int, int]
    padding: str


@dataclasses.dataclass(frozen=True, eq=False)
class GlobalPool(Op):
    """Mean over the image; the two axes stay, as 1, which spares a reshape before the head."""


@dataclasses.dataclass(frozen=True, eq=False)
class Reshape(Move):
    """Another shape of the same values."""


@dataclasses.dataclass(frozen=True, eq=False)
class Softmax(Op):
    """Probabilities of logits."""


@dataclasses.dataclass(frozen=True, eq=False)
class Average(Op):
    """Mean of the outputs of an ensemble's members."""


@dataclasses.dataclass(frozen=True)
class Ref:
    """Stands for the output of the operation `name` among the arguments of a Keras layer."""

    name: str


@dataclasses.dataclass(frozen=True, eq=False)
class KerasCall(Op):
    """A layer that has no integer form here: it runs as it is, in float.

    Attributes:
        operation: the Keras layer or operation.
        args, kwargs: what it is called with; a `Ref` stands for each tensor.
        why: why it is not integer, half a sentence.
    """

    operation: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    why: str


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """Operations in an order in which each comes after its inputs.

    Attributes:
        ops: the operations; the first is the `Image`, the last gives the output.
    """

    ops: tuple[Op, ...]

    @property
    def image(self) -> Image:
        """The input."""
        first = self.ops[0]
        assert isinstance(first, Image)
        return first

    @property
    def output(self) -> Op:
        """The operation whose output is the graph's."""
        return self.ops[-1]

    @property
    def convs(self) -> Iterator[Conv]:
        """Every convolution and dense layer, in order."""
        return (op for op in self.ops if isinstance(op, Conv))

    def consumers(self, name: str) -> list[Op]:
        """The operations that take the output of `name`."""
        return [op for op in self.ops if name in op.inputs]
