"""Quantization noise: is it uniform, what does it cost, how many codes are in use."""

from collections.abc import Mapping, Sequence

import numpy as np

from qtdog_tf.pictures.noise import svg_noise, typical_layers
from qtdog_tf.report.analyses import Entry
from qtdog_tf.report.blocks import (
    Missing,
    Section,
    command,
    details,
    figure,
    heading,
    paragraph,
    table,
)
from qtdog_tf.report.codes import codes_in_use
from qtdog_tf.report.html import Html
from qtdog_tf.report.material import Material
from qtdog_tf.report.numbers import PM, percent, short, short_and_error

# The paper's figures 2 and 8: layers of a ResNet-50 at 7 bits.
PAPER_KL = (0.0009, 0.0061, 0.004, 0.00069, 0.00054)
_LAYERS_SHOWN = 3
_WHY = "It needs a quantized model."
Series = Mapping[str, Sequence[Entry]]


def rounding_section(material: Material) -> Section:
    """Noise of quantization, its effect on the loss, and the use of codes."""
    name, title = "noise", "Quantization noise"
    noise = quantized_noise(material)
    effect, codes = _not_empty(material, "noise_effect", "roles"), material.analyses.of("code_use")
    body, missing = Html(""), []
    if noise:
        body = body + _uniformity(noise)
    else:
        missing.append(Missing("Quantization noise of layers", why=_WHY, analysis="noise"))
    if effect:
        body = body + _effect(effect)
    else:
        missing.append(Missing("What rounding costs in loss", why=_WHY, analysis="noise_effect"))
    if codes:
        body = body + codes_in_use(material, codes)
    else:
        missing.append(Missing("Use of codes and norms", analysis="code_use"))
    return Section(name, title, body, tuple(missing))


def quantized_noise(material: Material) -> dict[str, list[Entry]]:
    """The noise analyses of quantized models; of a float one there is no layer."""
    return _not_empty(material, "noise", "layers")


def _not_empty(material: Material, analysis: str, key: str) -> dict[str, list[Entry]]:
    series = material.analyses.of(analysis)
    kept = {name: [e for e in entries if e.result[key]] for name, entries in series.items()}
    return {name: entries for name, entries in kept.items() if entries}


def divergences(entries: Sequence[Entry], key: str = "kl") -> list[float]:
    """KL from uniform of every layer of several models; or by another key, see `layer_noise`."""
    layers = [layer for entry in entries for layer in entry.result["layers"]]
    return [layer[key] for layer in layers if key in layer]


def _uniformity(series: Series) -> Html:
    # The paper's bits, if there are such.
    shown_name = next((name for name in series if "7 bits" in name), next(iter(series)))
    shown = series[shown_name][0]
    layers = shown.result["layers"]
    lines = [_divergence_row(name, entries) for name, entries in series.items()]
    lines.append(_paper_row())
    bins = shown.result.get("bins", len(layers[0]["histogram"]["density"]))
    body = paragraph(
        "The theory takes the difference of quantized and latent weight as uniform on one step. "
        "Below is the Kullback-Leibler divergence from a uniform distribution on the same range, "
        f"in {bins} bins; the paper does not state its bins. "
        '"in steps" is that of the noise over the step size of its channel, so that channels of '
        'different steps do not mix; "inside" leaves clipped weights out, a few of '
        "which stretch the range far beyond a step. Few weights "
        'alone give a divergence above 0, as the column "uniform sample" says.'
    )
    body += table(
        [
            "method",
            "median KL",
            "range over layers",
            "in steps",
            "inside",
            "uniform sample",
            "layers",
        ],
        lines,
        "Divergence of quantization noise from a uniform distribution, over layers of all models",
    )
    body += figure(
        svg_noise(typical_layers(layers, _LAYERS_SHOWN)),
        f"Layers of {shown.label} ({shown_name}, {shown.model}) with the least, the middle and the "
        "largest divergence.",
    )
    body += command(entry.command for entries in series.values() for entry in entries)
    body += details(
        f"Every layer of {shown.label}, {shown.model} ({len(layers)})", _layer_table(shown)
    )
    return heading("Is the noise uniform?") + body


def _divergence_row(name: str, entries: Sequence[Entry]) -> list[str]:
    values = divergences(entries)
    low, middle, high = np.quantile(values, [0, 0.5, 1])
    sample = [entry.result.get("kl_uniform_sample") for entry in entries]
    return [
        name,
        short(middle, 2),
        f"{short(low, 2)} to {short(high, 2)}",
        *(_median(divergences(entries, key)) for key in ("kl_in_steps", "kl_inside")),
        short_and_error(sample, 2).partition(f" {PM}")[0],
        str(len(values)),
    ]


def _paper_row() -> list[str]:
    others = ", ".join(short(value, 2) for value in PAPER_KL[1:])
    return [
        "paper, ResNet-50, 7 bits",
        short(float(np.median(PAPER_KL)), 2),
        f"one layer {short(PAPER_KL[0], 2)}; four further {others}",
        *("-", "-", "-"),
        str(len(PAPER_KL)),
    ]


def _median(values: Sequence[float]) -> str:
    return short(float(np.median(values)), 2) if values else "-"


def _layer_table(entry: Entry) -> Html:
    lines = [
        [
            layer["name"],
            f"{layer['weights']:,}",
            str(layer["bits"]),
            short(layer["kl"], 2),
            short(layer["rms_ratio"]),
            short(layer["bias"], 2),
            percent(layer["clipped"]),
        ]
        for layer in entry.result["layers"]
    ]
    header = ["layer", "weights", "bits", "KL", "rms / uniform", "bias, steps", "clipped, %"]
    caption = (
        "rms / uniform: root mean square of the noise over step / root of 12, 1 if uniform. bias: "
        "mean noise in steps. clipped: weights beyond the range of codes"
    )
    return table(header, lines, caption)


def _effect(series: Series) -> Html:
    lines = []
    for name, entries in series.items():
        for role in dict.fromkeys(role for entry in entries for role in entry.result["roles"]):
            found = [e.result["roles"][role] for e in entries if role in e.result["roles"]]
            cells = [
                short_and_error([values[key] for values in found])
                for key in ("latent", "measured", "predicted", "uniform")
            ]
            cells += [
                short_and_error([values.get(key) for values in found])
                for key in ("first_order", "second_order")
            ]
            lines.append([name, role, *cells, str(len(found))])
    header = ["method", "loss on", "latent loss", "measured rise", "predicted", "uniform noise"]
    header += ["gradient term", "curvature term"]
    caption = (
        f"Loss in nats, mean {PM} standard error over runs. predicted: sum of squared step sizes "
        "times diagonal of the Hessian, over 24. uniform noise: rise under independent noise. "
        "gradient, curvature term: what the noise itself gives to first and second order"
    )
    return (
        heading("What rounding costs")
        + paragraph(
            "To second order and for uniform noise without correlation, rounding raises the loss "
            "by the predicted amount. The measured rise may differ: noise of trained weights is no "
            "chance, and a trained model may have made up for it, even to a fall."
        )
        + table([*header, "models"], lines, caption, left=2)
        + command(entry.command for entries in series.values() for entry in entries)
    )
