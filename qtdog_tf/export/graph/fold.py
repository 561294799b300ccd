"""Simplifies a deploy graph: BatchNorm into convolutions, ReLUs into what they follow.

After `fold` a network for integer hardware holds convolutions, sums, pools and reshapes only. What
the network computes stays the same. Folding BatchNorm (y = x * f + b a channel) leaves a learned
code as it is, up to its sign: the step size becomes s * |f|, the code c * sign(f).

Start with `fold`.
"""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from qtdog_tf.export.graph import ops

# Returns what two operations, the second on the first's output, become together; None: two.
Merge = Callable[[ops.Op, ops.Op], ops.Op | None]


def fold(graph: ops.Graph, *, absorb_normalization: bool = True) -> ops.Graph:
    """The same function in fewer operations.

    Args:
        graph: what `lower` returned.
        absorb_normalization: let the image itself carry a Rescaling by one factor for all
            channels, which costs nothing in integer files: a pixel is its code. Otherwise, and
            for any other normalization, a 1x1 convolution does it.
    """
    graph = _merge(_share_equal(graph), _reshape_into_reshape)
    if absorb_normalization:
        graph = _merge(graph, _affine_into_image)
    graph = _replace(graph, _reversal_to_conv)
    graph = _merge(graph, _affine_into_conv)
    graph = _merge(graph, _clip_into_producer)
    graph = _merge(graph, _factor_into_clipped)
    graph = _replace(graph, _affine_to_conv)
    graph = _merge(graph, _clip_into_producer)
    return _drop_idle_reshapes(graph)


def scale_channels(kernel: ops.Kernel, factor: np.ndarray) -> ops.Kernel:
    """The kernel whose outputs are `factor` times those of `kernel`, channel by channel."""
    if kernel.codes is None:
        return dataclasses.replace(kernel, scale=kernel.scale * factor)
    signs = np.where(factor < 0, -1, 1).astype(kernel.codes.dtype)
    return dataclasses.replace(
        kernel, scale=kernel.scale * np.abs(factor), codes=kernel.codes * signs
    )


def _merge(graph: ops.Graph, merge: Merge) -> ops.Graph:
    """Merges operations into the one that they work on, if nothing else works on that one.

    Operations on single channels are merged through reshapes that leave channels as they are.
    """
    uses = Counter(name for op in graph.ops for name in op.inputs)
    done: dict[str, ops.Op] = {}
    renamed: dict[str, str] = {}
    for op in graph.ops:
        op = _rewire(op, renamed)
        target = done[op.inputs[0]] if len(op.inputs) == 1 else None
        reshaped = target
        while target is not None and uses[target.name] == 1:
            merged = merge(target, op)
            if merged is not None:
                assert reshaped is not None
                done[target.name] = merged
                renamed[op.name] = reshaped.name
                uses[reshaped.name] = uses[op.name]
                break
            target = _through_reshape(target, done)
        if op.name not in renamed:
            done[op.name] = op
    return ops.Graph(tuple(done.values()))


def _through_reshape(op: ops.Op, done: dict[str, ops.Op]) -> ops.Op | None:
    if not isinstance(op, ops.Reshape):
        return None
    before = done[op.inputs[0]]
    return before if before.shape[-1] == op.shape[-1] else None


def _share_equal(graph: ops.Graph) -> ops.Graph:
    """Computes once what several members of an ensemble compute alike: the normalization, say.

    The converter would do so anyway, and under one of the names.
    """
    first: dict[bytes, str] = {}
    renamed: dict[str, str] = {}
    kept: list[ops.Op] = []
    for op in graph.ops:
        op = _rewire(op, renamed)
        same = first.setdefault(_digest(op), op.name)
        # The output has to stay the last.
        if same == op.name or op.name == graph.output.name:
            kept.append(op)
        else:
            renamed[op.name] = same
    return ops.Graph(tuple(kept))


def _digest(op: ops.Op) -> bytes:
    """Equal for operations of one kind that do the same to the same inputs."""
    digest = hashlib.sha256(type(op).__name__.encode())
    for field in dataclasses.fields(op):
        # A layer of somebody else may do anything, so no two of them are the same.
        if isinstance(op, ops.KerasCall) or field.name not in ("name", "layer"):
            _add_to_digest(digest, getattr(op, field.name))
    return digest.digest()


def _add_to_digest(digest: Any, value: Any) -> None:
    if isinstance(value, np.ndarray):
        digest.update(str((value.shape, value.dtype)).encode())
        digest.update(np.ascontiguousarray(value))
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            _add_to_digest(digest, getattr(value, field.name))
    else:
        digest.update(repr(value).encode())


def _replace(graph: ops.Graph, replace: Callable[[ops.Op], ops.Op | None]) -> ops.Graph:
    return ops.Graph(tuple(replace(op) or op for op in graph.ops))


def _rewire(op: ops.Op, renamed: dict[str, str]) -> ops.Op:
    inputs = tuple(renamed.get(name, name) for name in op.inputs)
    if inputs == op.inputs:
        return op
    if isinstance(op, ops.KerasCall):

        def rename(x: object) -> object:
            return ops.Ref(renamed.get(x.name, x.name)) if isinstance(x, ops.Ref) else x

        args, kwargs = keras.tree.map_structure(rename, (op.args, op.kwargs))
        return dataclasses.replace(op, inputs=inputs, args=args, kwargs=kwargs)
    return dataclasses.replace(op, inputs=inputs)


def _reshape_into_reshape(before: ops.Op, op: ops.Op) -> ops.Op | None:
    if isinstance(before, ops.Reshape) and isinstance(op, ops.Reshape):
        return dataclasses.replace(before, shape=op.shape)
    return None


def _affine_into_image(before: ops.Op, op: ops.Op) -> ops.Op | None:
    """Only where black is -z * scale for an integer z, which 8 bits can then hold exactly."""
    if not isinstance(before, ops.Image) or not isinstance(op, ops.Affine):
        return None
    # A Rescaling may have been put into the image before.
    scale = before.scale * op.scale[0]
    offset = before.offset * op.scale[0] + op.offset[0]
    if np.ptp(op.scale) or np.ptp(op.offset) or scale <= 0:
        return None
    zero = -offset / scale
    if abs(zero - round(zero)) > 1e-6 or not 0 <= round(zero) <= 255:
        return None
    return dataclasses.replace(before, scale=float(scale), offset=-round(zero) * float(scale))


def _affine_into_conv(before: ops.Op, op: ops.Op) -> ops.Op | None:
    if not isinstance(before, ops.Conv) or not isinstance(op, ops.Affine):
        return None
    if before.clip != ops.NO_CLIP:
        return None
    return dataclasses.replace(
        before,
        kernel=scale_channels(before.kernel, op.scale),
        bias=before.bias * op.scale + op.offset,
    )


def _factor_into_clipped(before: ops.Op, op: ops.Op) -> ops.Op | None:
    """A positive factor behind a ReLU is one before it, with the upper end moved along."""
    if not isinstance(before, ops.Conv) or not isinstance(op, ops.Affine):
        return None
    low, high = before.clip
    if low != 0 or np.any(op.offset) or np.any(op.scale <= 0):
        return None
    if np.isfinite(high) and np.ptp(op.scale):
        return None
    return dataclasses.replace(
        before,
        kernel=scale_channels(before.kernel, op.scale),
        bias=before.bias * op.scale,
        clip=(low, float(high * op.scale[0])),
    )


def _affine_to_conv(op: ops.Op) -> ops.Op | None:
    """A depthwise 1x1 convolution, exact: its only weight is the factor, as code 127 or -127."""
    if not isinstance(op, ops.Affine) or len(op.shape) != 3:
        return None
    return _channel_conv(op, np.ones((1, 1, 1, op.shape[-1])), op.scale, op.offset, op.shape[-1])


def _reversal_to_conv(op: ops.Op) -> ops.Op | None:
    if not isinstance(op, ops.ReverseChannels):
        return None
    channels = op.shape[-1]
    swap = np.eye(channels)[::-1][None, None]
    return _channel_conv(op, swap, np.ones(channels), np.zeros(channels), 1)


def _channel_conv(
    op: ops.Op, pattern: np.ndarray, factor: np.ndarray, offset: np.ndarray, groups: int
) -> ops.Conv:
    codes = (pattern * ops.INT8_MAX).astype(np.int16)
    unit = ops.Kernel(np.full(len(factor), 1 / ops.INT8_MAX), codes=codes, bits=8)
    kernel = scale_channels(unit, factor)
    return ops.Conv(
        op.name, op.inputs, op.shape, op.layer, kernel=kernel, bias=offset, groups=groups
    )


def _clip_into_producer(before: ops.Op, op: ops.Op) -> ops.Op | None:
    if not isinstance(before, ops.Conv | ops.Add | ops.Clip) or not isinstance(op, ops.Clip):
        return None
    low, high = max(before.clip[0], op.clip[0]), min(before.clip[1], op.clip[1])
    return dataclasses.replace(before, clip=(low, high))


def _drop_idle_reshapes(graph: ops.Graph) -> ops.Graph:
    shapes = {op.name: op.shape for op in graph.ops}
    kept: list[ops.Op] = []
    renamed: dict[str, str] = {}
    for op in graph.ops:
        op = _rewire(op, renamed)
        if isinstance(op, ops.Reshape) and op.shape == shapes[op.inputs[0]]:
            renamed[op.name] = op.inputs[0]
        else:
            kept.append(op)
    return ops.Graph(tuple(kept))
