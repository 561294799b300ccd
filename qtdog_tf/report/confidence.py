"""Calibration by domain, accuracy by coverage, and the group that a method does worst on."""

from collections.abc import Mapping, Sequence
from typing import Any

from qtdog_tf.pictures.reliability import coverage_panel, reliability_panel
from qtdog_tf.pictures.svg import svg_panels
from qtdog_tf.records import OUT, SOURCE, TARGET
from qtdog_tf.report.analyses import Entry
from qtdog_tf.report.blocks import (
    Missing,
    Section,
    command,
    details,
    figure,
    heading,
    key_of,
    paragraph,
    table,
)
from qtdog_tf.report.html import Html
from qtdog_tf.report.material import Material
from qtdog_tf.report.numbers import PM, percent, percent_and_error, short_and_error

Series = Mapping[str, Sequence[Entry]]
_GROUPS = {
    "target": lambda domain: domain["role"] == TARGET,
    "source validation": lambda domain: (domain["role"], domain["part"]) == (SOURCE, OUT),
}


def calibration_section(material: Material) -> Section:
    """Does a model know when it does not know?"""
    name, title = "calibration", "Calibration"
    series = material.analyses.of("calibration")
    if not series:
        missing = Missing(
            "Calibration, accuracy by coverage, worst group",
            analysis="calibration",
        )
        return Section(name, title, missing=(missing,))
    body = paragraph(
        "A model is calibrated if of the images that it is 80 % sure of it gets 80 % right. Below "
        "the diagonal it is too sure of itself. The expected calibration error (ECE) is the mean "
        "distance from the diagonal. The second picture: if a model may refuse the images that it "
        "is least sure of, how good is it on the others?"
    )
    for group, chosen in _GROUPS.items():
        domains = {name: _domains(entries, chosen) for name, entries in series.items()}
        domains = {name: found for name, found in domains.items() if found}
        if not domains:
            continue
        panels = [
            make(domains, group, material.styles) for make in (reliability_panel, coverage_panel)
        ]
        shown = figure(
            svg_panels(panels),
            f"Images of {group}. Reliability: images of all runs of a method together; the area of "
            "a marker is its part of them. Coverage: mean over domains and runs.",
            key_of(material.styles, domains),
        )
        body += shown if group == TARGET else details(f"The same on {group}", shown)
    body += command(entry.command for entries in series.values() for entry in entries)
    return Section(name, title, body + _table(series) + _worst(series))


def calibration_errors(entries: Sequence[Entry], group: str) -> list[float]:
    """ECE of each run, mean over its domains of a group: "target" or "source validation"."""
    errors = []
    for entry in entries:
        found = [d["ece"] for d in _domains([entry], _GROUPS[group]) if d["ece"] is not None]
        if found:
            errors.append(sum(found) / len(found))
    return errors


def _domains(entries: Sequence[Entry], chosen: Any) -> list[Mapping[str, Any]]:
    found = [domain for entry in entries for domain in entry.result["domains"]]
    return [domain for domain in found if domain["images"] and chosen(domain)]


def _table(series: Series) -> Html:
    groups = []
    domains = [d for entries in series.values() for e in entries for d in e.result["domains"]]
    order = {SOURCE: 1, TARGET: 0}
    keys = sorted({(order.get(d["role"], 2), d["domain"], d["role"], d["part"]) for d in domains})
    for _, domain, role, part in keys:
        lines = []
        for name, entries in series.items():
            mine = [
                d
                for d in _domains(entries, lambda d: True)
                if (d["domain"], d["role"], d["part"]) == (domain, role, part)
            ]
            if mine:
                accuracy, sure, ece = (
                    percent_and_error([d[key] for d in mine if d[key] is not None])
                    for key in ("accuracy", "confidence", "ece")
                )
                loss = short_and_error([d["loss"] for d in mine])
                lines.append([name, accuracy, sure, ece, loss, str(len(mine))])
        groups.append((f"{domain}: {role}, part {part}", lines))
    whole = table(
        ["method", "accuracy", "mean confidence", "ECE", "loss", "models"],
        [],
        f"By domain, in % (loss: nats), mean {PM} standard error over runs",
        groups=groups,
    )
    return details("Accuracy, confidence and ECE of every domain", whole)


def _worst(series: Series) -> Html:
    lines = []
    for name, entries in series.items():
        for key, where in (("worst", "target"), ("worst_source", "source validation")):
            found = [e.result[key] for e in entries if e.result.get(key)]
            if not found:
                continue
            lowest = min(found, key=lambda group: group["accuracy"])
            which = f"{lowest['class']} in {lowest['domain']} ({lowest['images']} images)"
            mean = percent_and_error([group["accuracy"] for group in found])
            lines.append([name, where, which, percent(lowest["accuracy"]), mean, str(len(found))])
    if not lines:
        return Html("")
    header = ["method", "on", "worst of all", "accuracy, %", "mean of the worst", "models"]
    caption = (
        "The class in a domain with the lowest accuracy, of those with 5 images or more: the worst "
        f"of all runs, and the mean over runs of the worst of each {PM} its standard error"
    )
    return heading("Worst group") + table(header, lines, caption, left=3)
