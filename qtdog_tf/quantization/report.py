"""What was quantized, how many codes each layer uses, and what stayed float and why.

Start from `quantization_report`, and print it with `format_report`.
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from qtdog_tf.quantization.annotate import QUANTIZABLE
from qtdog_tf.quantization.lsq import reduction_axes
from qtdog_tf.quantization.rebuild import float_reason
from qtdog_tf.quantization.size import FLOAT_BYTES, packed_bytes
from qtdog_tf.quantization.wrapper import QUANTIZING_MODES, QuantizeWrapper

_HEADER = ("layer", "kind", "weights", "bits", "codes", "a channel", "KB", "float KB", "why float")
_LEFT = {0, 1, 8}


@dataclasses.dataclass(frozen=True)
class LayerReport:
    """One weight tensor of a layer that multiplies its input: quantized, or float and why.

    Attributes:
        name: of the layer, after the names of the models and layers that it is in.
        kind: class of the layer.
        weights: number of weights in the tensor.
        bits: bit width of the codes; None if the tensor is float now.
        channels: number of step sizes; 0 if the tensor is float now.
        codes: distinct integers in the whole tensor, at most 2^bits.
        channel_codes: the largest number of distinct integers under one step size.
        packed_bytes: codes at their bit width and step sizes in float32; the float size if it is
            float now.
        float_bytes: in float32.
        why_float: why it is float now; empty if it is quantized.
    """

    name: str
    kind: str
    weights: int
    bits: int | None
    channels: int
    codes: int
    channel_codes: int
    packed_bytes: int
    float_bytes: int
    why_float: str


def quantization_report(model: keras.Model) -> list[LayerReport]:
    """Reports on every layer of a model that has a kernel, in the model's order.

    Layers inside other layers (a `TimeDistributed`, an attention layer) are reported too: they
    cannot be quantized, and a report that left them out would hide it.

    Args:
        model: a Keras 3 model, before or after quantization has started. Why a rule left a layer
            float is known from `quantize_annotate` on, until the model is saved and loaded.

    Returns:
        One entry a kernel, quantized or not.
    """
    reports: list[LayerReport] = []
    for found in _walk(model):
        reports.extend(
            _wrapped(found) if isinstance(found.layer, QuantizeWrapper) else _float(found)
        )
    return reports


def format_report(reports: list[LayerReport]) -> str:
    """The report as an aligned table with a line of totals."""
    rows = [_HEADER, *(_row(report) for report in reports), _total(reports)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    lines = []
    for row in rows:
        cells = (
            cell.ljust(width) if column in _LEFT else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class _Found:
    layer: Any
    path: tuple[str, ...]  # names of the models and layers around it
    composite: Any  # the layer it is a part of, or None


def _walk(model: keras.Model) -> Iterator[_Found]:
    """Every layer once, in the model's order; what wrappers wrap comes with them."""
    seen: set[int] = set()
    stack = [_Found(model, (), None)]
    while stack:
        found = stack.pop()
        layer = found.layer
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        yield found
        if isinstance(layer, QuantizeWrapper):
            continue
        path = () if layer is model else (*found.path, layer.name)
        # A functional or sequential model lets its layers be replaced; any other is a whole.
        whole = not isinstance(layer, keras.Function | keras.Sequential)
        composite = found.composite or (layer if whole else None)
        stack += [_Found(part, path, composite) for part in reversed(list(layer._layers))]


def _wrapped(found: _Found) -> Iterator[LayerReport]:
    wrapper = found.layer
    for weight, quantizer, variables in wrapper.quantized_weights:
        inner = dataclasses.replace(found, layer=wrapper.layer)
        if not wrapper.holds_codes:
            why = f"quantization is off (mode {wrapper.mode!r})"
            if wrapper.mode in QUANTIZING_MODES:
                why = f"{type(quantizer).__name__} leaves weights of it float"
            yield _report(inner, weight, why_float=why)
            continue
        codes = quantizer.codes(weight, variables).numpy()
        step_sizes = quantizer.scales(variables)
        yield _report(
            inner,
            weight,
            bits=quantizer.bits,
            channels=step_sizes,
            codes=len(np.unique(codes)),
            channel_codes=_most_codes_in_a_channel(codes, quantizer.channel_axes),
            packed_bytes=packed_bytes(codes.size * quantizer.bits) + FLOAT_BYTES * step_sizes,
        )


def _float(found: _Found) -> Iterator[LayerReport]:
    layer = found.layer
    for weight in (*layer._trainable_variables, *layer._non_trainable_variables):
        # Biases, norms and embeddings do not multiply an activation by a matrix.
        if "kernel" in weight.name:
            yield _report(found, weight, why_float=_why_float(found))


def _report(found: _Found, weight: keras.Variable, **known: Any) -> LayerReport:
    size = math.prod(weight.shape)
    as_float = {
        "bits": None,
        "channels": 0,
        "codes": 0,
        "channel_codes": 0,
        "packed_bytes": FLOAT_BYTES * size,
        "why_float": "",
    }
    return LayerReport(
        name="/".join((*found.path, found.layer.name)),
        kind=type(found.layer).__name__,
        weights=size,
        float_bytes=FLOAT_BYTES * size,
        **{**as_float, **known},
    )


def _why_float(found: _Found) -> str:
    layer, composite = found.layer, found.composite
    if composite is not None:
        return (
            f"a part of {composite.name!r} ({type(composite).__name__}), which is not taken apart"
        )
    if not isinstance(layer, QUANTIZABLE):
        return f"{type(layer).__name__} is not a kind of layer that can be quantized"
    return float_reason(layer) or "not annotated"


def _most_codes_in_a_channel(codes: np.ndarray, channel_axes: tuple[int, ...]) -> int:
    shared = reduction_axes(codes.ndim, channel_axes)
    channels = np.moveaxis(codes, shared, range(len(shared)))
    columns = channels.reshape(math.prod(codes.shape[axis] for axis in shared), -1)
    distinct = 1 + np.sum(np.diff(np.sort(columns, axis=0), axis=0) != 0, axis=0)
    return int(distinct.max())


def _row(report: LayerReport) -> tuple[str, ...]:
    quantized = report.bits is not None
    return (
        report.name,
        report.kind,
        f"{report.weights:,}",
        str(report.bits) if quantized else "float",
        str(report.codes) if quantized else "",
        str(report.channel_codes) if quantized else "",
        f"{report.packed_bytes / 1000:.1f}",
        f"{report.float_bytes / 1000:.1f}",
        report.why_float,
    )


def _total(reports: list[LayerReport]) -> tuple[str, ...]:
    quantized = sum(report.weights for report in reports if report.bits is not None)
    weights = sum(report.weights for report in reports)
    return (
        "total",
        f"{sum(report.bits is not None for report in reports)} of {len(reports)} quantized",
        f"{weights:,}",
        "",
        "",
        "",
        f"{sum(report.packed_bytes for report in reports) / 1000:.1f}",
        f"{sum(report.float_bytes for report in reports) / 1000:.1f}",
        f"{100 * quantized / max(weights, 1):.1f} % of these weights are quantized",
    )
