"""Grad-CAM of several methods on the same images, beside the images."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from qtdog_tf.evaluation.method_names import reference_name
from qtdog_tf.pictures.attention import class_name, overlay, read_square
from qtdog_tf.pictures.gallery import RIGHT, WRONG
from qtdog_tf.report.analyses import Entry
from qtdog_tf.report.blocks import Missing, Section, command, paragraph
from qtdog_tf.report.html import Html, element, join
from qtdog_tf.report.images import picture
from qtdog_tf.report.material import Material

MAX_METHODS = 4
# A page holds so many without becoming large.
_SIDE = 112


def attention_section(material: Material, images: int) -> Section:
    """Where models look.

    Args:
        material: of the report.
        images: how many to show at most.
    """
    name, title = "attention", "Where models look (Grad-CAM)"
    models = models_to_compare(material)
    if not models:
        missing = Missing("Where models look (Grad-CAM)", analysis="grad_cam")
        return Section(name, title, missing=(missing,))
    by_path = {
        method: {image["path"]: image for image in entry.result["images"]}
        for method, entry in models.items()
    }
    first, *others = by_path.values()
    shared = [path for path in first if all(path in other for other in others)][:images]
    cases = [_case(path, {m: found[path] for m, found in by_path.items()}) for path in shared]
    gone = sum(read_square(path, _SIDE) is None for path in shared)
    some = next(iter(models.values()))
    target = some.targets or "source validation"
    note = (
        f"{len(shared)} of {len(first)} images, drawn at random by the analysis and equally from "
        f"every class, none by its result; target {target}, trial {some.trial}. Red is where the "
        f"score of the class comes from; {RIGHT} right, {WRONG} wrong, with the model's confidence."
    )
    body = paragraph(note)
    if gone:
        body += paragraph(f"{gone} of these image files are gone: their maps are shown alone.")
    body += element("div", *cases, class_="cases")
    body += command(entry.command for entry in models.values())
    return Section(name, title, body)


def models_to_compare(material: Material) -> dict[str, Entry]:
    """One model of each method, all of one target and trial, so that they see the same images.

    The target and trial with the most methods, of those the first; of more than four methods the
    baseline, and first of all quantized ones.
    """
    series = material.analyses.of("grad_cam")
    groups: dict[tuple[str, int], dict[str, Entry]] = {}
    for name, entries in series.items():
        for entry in entries:
            groups.setdefault(entry.pair, {}).setdefault(name, entry)
    if not groups:
        return {}
    chosen = max(sorted(groups), key=lambda pair: len(groups[pair]))
    found = groups[chosen]
    reference = reference_name(found, material.baseline) or material.baseline
    return preferred(found, reference, MAX_METHODS)


def preferred(methods: Mapping[str, Any], baseline: str, count: int) -> dict[str, Any]:
    """A few of several methods, in their order: the baseline, quantized ones, then the others."""

    def importance(name: str) -> tuple[bool, bool]:
        return name != baseline, not name.startswith(("QT-DoG", "EoQ"))

    kept = sorted(methods, key=importance)[:count]
    return {name: methods[name] for name in methods if name in kept}


def _case(path: str, found: Mapping[str, Mapping[str, Any]]) -> Html:
    """One image beside what each method makes of it."""
    pixels = read_square(path, _SIDE)
    image = next(iter(found.values()))
    truth = class_name(image["truth"])
    where = f"{truth}, {image['domain']}"
    shots = [_shot(picture(pixels, f"Image: {where}"), "image")]
    ground = np.full((_SIDE, _SIDE, 3), 128, np.uint8) if pixels is None else pixels
    for method, mine in found.items():
        said, sure = class_name(mine["predicted"]), f"{100 * mine['confidence']:.0f} %"
        mark = RIGHT if mine["predicted"] == mine["truth"] else WRONG
        alt = f"Where {method} looks when it takes this {truth} for {said}"
        shown = picture(overlay(ground, mine["heat"]), alt)
        shots.append(_shot(shown, element("b", method), element("br"), f"{mark} {said}, {sure}"))
    heading = element("p", element("b", truth), f" ({image['domain']})")
    return element("div", heading, element("div", *shots, class_="shots"), class_="card")


def _shot(image: Html, *caption: Any) -> Html:
    return element("figure", image, element("figcaption", join(caption)))
