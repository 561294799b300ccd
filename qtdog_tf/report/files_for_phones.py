"""What exports found: sizes, latency, and whether the file says what the model says."""

import shlex
from collections.abc import Mapping

from qtdog_tf.evaluation import MODELS
from qtdog_tf.report.blocks import (
    Missing,
    Section,
    command,
    definition,
    details,
    paragraph,
    table,
)
from qtdog_tf.report.exports import Export
from qtdog_tf.report.html import Html, element
from qtdog_tf.report.material import Material
from qtdog_tf.report.numbers import percent, short

_MEGA = 1e6
# Beside each other, tables of so many files still can be read.
_OPEN = 2


def export_section(material: Material) -> Section:
    """Parity and sizes of exported files."""
    name, title = "export", "Files for phones"
    if not material.exports:
        missing = Missing(
            "Sizes and parity of an exported file",
            "python -m tools.export_tflite --run=<run> --output=model.tflite",
        )
        return Section(name, title, missing=(missing,))
    body = paragraph(
        "Each file is read back and compared with its model before it gets its name: weights "
        "(codes and scales where it stores codes), biases, the output of every layer if it "
        "computes with integers, and the predictions on every domain. What was found is below."
    )
    body += _comparison(material.exports)
    for label, export in material.exports.items():
        shown = _one(export)
        body += details(f"{label}: checks, domains, sizes", shown)
    body += command(_export_command(export, label) for label, export in material.exports.items())
    return Section(name, title, body)


def _comparison(exports: Mapping[str, Export]) -> Html:
    lines = []
    for name, export in exports.items():
        sizes = export["sizes"]
        images = sum(domain["images"] for domain in export["domains"])
        same = sum(domain["images"] * domain["same_class"] for domain in export["domains"])
        changes = [d["file_accuracy"] - d["model_accuracy"] for d in export["domains"]]
        latency = (export["latency_ms"] or {}).get("1")
        lines.append(
            [
                name,
                export["settings"]["kind"],
                element("span", "passed", class_="good")
                if export["passed"]
                else element("span", "FAILED", class_="bad"),
                str(sizes["bits"]),
                short(sizes["bytes"] / _MEGA),
                short(sizes["float_bytes"] / sizes["bytes"]) if sizes["bytes"] else "-",
                percent(same / images) if images else "-",
                percent(max(changes, key=abs), signed=True) if changes else "-",
                short(latency),
            ]
        )
    header = ["file", "kind", "checks", "bits", "MB", "times smaller", "same class, %"]
    return table(
        [*header, "worst domain", "ms"],
        lines,
        "Files beside each other. times smaller: than the float model. same class: images on which "
        "file and model agree. worst domain: largest change of accuracy from model to file, in "
        "points. ms: an image, one thread, where the file was made",
        left=3,
    )


def _one(export: Export) -> Html:
    checks = [
        [
            check["name"],
            element("span", "ok", class_="good")
            if check["passed"]
            else element("span", "FAILED", class_="bad"),
            check["detail"],
        ]
        for check in export["checks"]
    ]
    domains = [
        [
            d["domain"],
            d["role"],
            str(d["images"]),
            percent(d["same_class"]),
            percent(d["model_accuracy"]),
            percent(d["file_accuracy"]),
            percent(d["file_accuracy"] - d["model_accuracy"], signed=True),
            short(d["mean_difference"], 2),
            short(d["max_difference"], 2),
        ]
        for d in export["domains"]
    ]
    header = [
        "domain",
        "role",
        "images",
        "same class",
        "model",
        "file",
        "file \N{MINUS SIGN} model",
    ]
    caption = (
        "Model and file on the same images, in %; images of sources are mostly those trained on, "
        "so these accuracies compare, and do not estimate. diff.: of probabilities"
    )
    of = f"{export.get('run', 'a model')}, {export.get('model', 'as it was given')}"
    return (
        paragraph(f"Of {of}.")
        + table(["check", "", "finding"], checks, "Checks of the file", left=3)
        + table([*header, "mean diff.", "max diff."], domains, caption, left=2)
        + _sizes(export)
    )


def _sizes(export: Export) -> Html:
    sizes = export["sizes"]
    rows = [
        ("float model", sizes["float_bytes"]),
        ("this file", sizes["bytes"]),
        ("this file, deflated", sizes["deflated_bytes"]),
        ("codes packed, rest float32", sizes["packed_bytes"]),
    ]
    lines = [
        [name, short(size / _MEGA), short(sizes["float_bytes"] / size) if size else "-"]
        for name, size in rows
    ]
    body = table(["size", "MB", "times smaller"], lines, "Sizes")
    facts = []
    if sizes["entropy_bits"] is not None:
        facts.append(("entropy of the codes, bits a weight", short(sizes["entropy_bits"])))
    for threads, ms in (export["latency_ms"] or {}).items():
        facts.append((f"an image, {threads} thread(s)", f"{short(ms)} ms"))
    return body + (definition(facts) if facts else "")


def _export_command(export: Export, label: str) -> str:
    flags = [f"--run={export.get('run', '<run>')}", f"--kind={export['settings']['kind']}"]
    if export.get("model", MODELS[0]) != MODELS[0]:
        flags.append(f"--model={export['model']}")
    flags.append(f"--output={label}.tflite")
    return "python -m tools.export_tflite " + " ".join(map(shlex.quote, flags))
