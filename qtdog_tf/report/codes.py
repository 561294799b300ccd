"""How many of their codes quantized models use, and the size of all weights."""

from collections.abc import Mapping, Sequence

from qtdog_tf.pictures.code_use import svg_code_use
from qtdog_tf.report.analyses import Entry
from qtdog_tf.report.blocks import command, details, figure, heading, key_of, table
from qtdog_tf.report.html import Html
from qtdog_tf.report.material import Material
from qtdog_tf.report.numbers import PM, percent, short, short_and_error

Series = Mapping[str, Sequence[Entry]]


def codes_in_use(material: Material, series: Series) -> Html:
    """Entropy and use of codes by layer, of one model a method; means over all models.

    Args:
        material: of the report.
        series: code_use analyses by method.
    """
    first = {name: entries[0] for name, entries in series.items()}
    layers = {name: entry.result["layers"] for name, entry in first.items()}
    quantized = {n: ls for n, ls in layers.items() if any(la["bits"] is not None for la in ls)}
    body = heading("Codes in use, and the size of the weights")
    if quantized:
        runs = ", ".join(f"{name}: {first[name].label}" for name in quantized)
        body += figure(
            svg_code_use(quantized, material.styles),
            f"One model a method ({runs}). The dotted line is what the codes can hold at most.",
            key_of(material.styles, quantized),
        )
    lines = []
    for name, entries in series.items():
        mine = [la for e in entries for la in e.result["layers"] if la["bits"] is not None]
        used = sum(la["codes_used"] for la in mine), sum(la["codes_available"] for la in mine)
        weights = sum(la["weights"] for la in mine)
        entropy = sum(la["entropy"] * la["weights"] for la in mine) / weights if weights else None
        lines.append(
            [
                name,
                short_and_error([entry.result["norm"] for entry in entries]),
                percent(used[0] / used[1]) if used[1] else "-",
                short(entropy),
                str(len(entries)),
            ]
        )
    header = ["method", "norm |w|", "codes in use, %", "entropy, bits", "models"]
    caption = f"Over all models, mean {PM} standard error; entropy of the codes a weight"
    body += table(header, lines, caption)
    body += command(entry.command for entries in series.values() for entry in entries)
    for name in quantized:
        body += details(
            f"Every layer of {first[name].label}, {first[name].model}", _code_table(first[name])
        )
    return body


def _code_table(entry: Entry) -> Html:
    lines = []
    for layer in entry.result["layers"]:
        is_float = layer["bits"] is None
        codes = "-" if is_float else f"{layer['codes_used']} of {layer['codes_available']}"
        lines.append(
            [
                layer["name"],
                f"{layer['weights']:,}",
                short(layer["norm"]),
                "float" if is_float else str(layer["bits"]),
                codes,
                short(layer["entropy"]),
            ]
        )
    header = ["layer", "weights", "norm", "bits", "codes", "entropy"]
    return table(header, lines, "Weights, norm, and use of codes of every layer")
