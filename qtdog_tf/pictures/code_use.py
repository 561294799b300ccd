"""How much of their codes the layers of quantized models use. Start from `svg_code_use`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qtdog_tf.pictures.series import INK, Style, styles_for
from qtdog_tf.pictures.svg import Panel, draw_panels, shorten, svg_panels

# A layer of what a code_use analysis returns; "bits" is None in a float one.
Layer = Mapping[str, Any]


def svg_code_use(
    models: Mapping[str, Sequence[Layer]], styles: Mapping[str, Style] | None = None
) -> str:
    """The panels as `<svg>` elements, see `code_use_panels`."""
    return svg_panels(code_use_panels(models, styles))


def draw_code_use(
    models: Mapping[str, Sequence[Layer]],
    path: Path,
    styles: Mapping[str, Style] | None = None,
) -> None:
    """Writes the panels as a picture, see `code_use_panels`.

    Args:
        models: see there.
        path: the .svg or .png file.
        styles: see there.
    """
    styles = styles or styles_for(models)
    shown = {name: styles[name] for name in models}
    draw_panels(code_use_panels(models, styles), path, shown)


def code_use_panels(
    models: Mapping[str, Sequence[Layer]], styles: Mapping[str, Style] | None = None
) -> list[Panel]:
    """Entropy and share of the codes in use, over the quantized layers in the order of the network.

    Args:
        models: by name of the model, its layers.
        styles: by name of the model. Default: in order.
    """
    styles = styles or styles_for(models)
    quantized = {
        name: [layer for layer in layers if layer["bits"] is not None]
        for name, layers in models.items()
    }
    quantized = {name: layers for name, layers in quantized.items() if layers}
    if not quantized:
        return []

    def entropy(axes: Any) -> None:
        _lines(axes, quantized, styles, lambda layer: layer["entropy"])
        for bits in sorted({layer["bits"] for layers in quantized.values() for layer in layers}):
            axes.axhline(bits, color=INK, linewidth=0.9, linestyle=(0, (1, 2)))
            axes.annotate(
                f"{bits} bits", (1, bits), xycoords=("axes fraction", "data"), ha="right", size=8.5
            )
        axes.set_ylim(bottom=0)

    def share(axes: Any) -> None:
        _lines(axes, quantized, styles, _share)
        axes.set_ylim(0, 105)

    means = ", ".join(
        f"{shorten(name)} {_mean([layer['entropy'] for layer in layers]):.2f} bits, "
        f"{_mean([_share(layer) for layer in layers]):.0f} % of the codes"
        for name, layers in quantized.items()
    )
    text = f"One point a quantized layer, from the first to the last. Means over layers: {means}."
    return [
        Panel("Entropy of the codes, bits a weight", text, entropy, height=2.6),
        Panel("Codes in use, % of those there are", text, share, height=2.6),
    ]


def _share(layer: Layer) -> float:
    return 100 * layer["codes_used"] / max(layer["codes_available"], 1)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _lines(
    axes: Any, models: Mapping[str, Sequence[Layer]], styles: Mapping[str, Style], value: Any
) -> None:
    for name, layers in models.items():
        style = styles[name]
        places = range(1, len(layers) + 1)
        axes.plot(
            places,
            [value(layer) for layer in layers],
            color=style.colour,
            marker=style.marker,
            markersize=3.5,
            linewidth=1,
            linestyle=style.line,
        )
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("quantized layer, first to last")
