"""What was run: settings, data and split, versions, commit, runs that are missing, analyses."""

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from qtdog_tf.algorithms import AlgorithmSettings
from qtdog_tf.evaluation.method_names import rank
from qtdog_tf.report.blocks import (
    Missing,
    Section,
    bullets,
    command,
    definition,
    details,
    heading,
    paragraph,
    table,
)
from qtdog_tf.report.html import Html, element, join
from qtdog_tf.report.material import Material
from qtdog_tf.report.numbers import short
from qtdog_tf.report.records import Output, RunRecord
from qtdog_tf.training.settings import TrainSettings

_VALUES_SHOWN = 8
# What a summary may say of how its run went, and what that means.
_MARKS = {
    "skipped_images": "training images that could not be read were skipped",
    "resumed_elsewhere": "training went on on another machine or version",
    "replicas": "several devices shared every batch",
}


def run_section(material: Material) -> Section:
    """What the figures of the report come from."""
    name, title = "what", "What was run"
    if not material.runs.runs and not material.analyses.entries:
        return Section(name, title)
    body = [_output(material, output) for output in material.runs.outputs]
    if material.runs.unfinished:
        shown = [str(path) for path in material.runs.unfinished[:_VALUES_SHOWN]]
        more = len(material.runs.unfinished) - len(shown)
        tail = [f"and {more} more"] if more else []
        body.append(
            paragraph(f"Not finished, and left out ({len(material.runs.unfinished)} runs):")
            + bullets([*shown, *tail])
        )
    body.append(_analyses(material))
    missing: tuple[Missing, ...] = ()
    if material.runs.runs and not any(output.settings for output in material.runs.outputs):
        missing = (
            Missing(
                "The settings of the runs", "python -m tools.train ...", "settings.json is gone."
            ),
        )
    return Section(name, title, join(body), missing)


def train_command(output: Output, runs: Sequence[RunRecord]) -> str:
    """The command that trains what an output folder holds, defaults left out."""
    defaults = {**vars(TrainSettings()), **vars(AlgorithmSettings())}
    flags = []
    for name, value in sorted(output.settings.items()):
        if name in defaults and not _same(value, defaults[name]):
            flags.append(_flag(name, value))
    mine = [run for run in runs if run.output == output.path and not run.is_ensemble]
    targets = sorted({run.target.replace("+", ",") for run in mine})
    held_out = "none" if targets == [""] else targets[0] if len(targets) == 1 else "all"
    plan = {
        "target_domains": held_out,
        "trial_seeds": sorted({run.trial for run in mine}),
        "variants": sorted({run.variant for run in mine}),
        "output": str(output.path),
    }
    flags += [_flag(name, value) for name, value in plan.items()]
    return "python -m tools.train " + " ".join(flags)


def _same(value: Any, default: Any) -> bool:
    return (tuple(value) if isinstance(value, list) else value) == default


def _flag(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no{name}"
    return shlex.quote(f"--{name}={_shown(value)}")


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value)


def _output(material: Material, output: Output) -> Html:
    runs = [run for run in material.runs.runs if run.output == output.path]
    methods = sorted({run.method for run in runs}, key=rank)
    targets = sorted({run.target for run in runs if run.target})
    trials = sorted({run.trial for run in runs})
    data = output.settings.get("data", runs[0].summary.get("data", "unknown"))
    facts = [
        ("runs", str(len(runs))),
        ("methods", ", ".join(methods)),
        ("held out", ", ".join(targets) or "no domain"),
        ("trials (splits)", ", ".join(map(str, trials))),
        ("data", str(data)),
        ("network", str(runs[0].summary.get("backbone", "unknown"))),
        ("git commit", output.versions.get("git", "unknown")),
    ]
    body = heading(str(output.path)) + definition(facts) + _marks(runs)
    if output.settings:
        body += command([train_command(output, runs)], "Trained by, defaults left out")
        body += details("Every setting", _settings(output.settings))
    if output.images:
        body += details("Data and split", _images(output))
    if output.versions:
        body += details("Versions", definition(sorted(output.versions.items())))
    return body


def _marks(runs: Sequence[RunRecord]) -> Html:
    found = []
    for mark, meaning in _MARKS.items():
        count = sum(bool(run.summary.get(mark)) for run in runs)
        if count:
            found.append(f"{count} of {len(runs)} runs: {meaning}.")
    return bullets(found) if found else Html("")


def _settings(settings: Mapping[str, Any]) -> Html:
    fields = [*dataclasses.fields(TrainSettings), *dataclasses.fields(AlgorithmSettings)]
    defaults = {field.name: field.default for field in fields}
    lines = []
    for name, value in sorted(settings.items()):
        changed = name in defaults and not _same(value, defaults[name])
        shown = _shown(value) or "(empty)"
        lines.append(
            [
                name,
                element("b", shown) if changed else shown,
                _shown(_listed(defaults[name])) or "(empty)" if name in defaults else "-",
            ]
        )
    return table(
        ["setting", "value", "default"],
        lines,
        "Flags of tools.train; what differs from the default is bold",
        left=3,
    )


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _images(output: Output) -> Html:
    parts = sorted({part for counts in output.images.values() for part in counts})
    lines = [
        [domain, *(str(counts.get(part, 0)) for part in parts), str(sum(counts.values()))]
        for domain, counts in sorted(output.images.items())
    ]
    classes = ", ".join(output.classes[:40]) + (", ..." if len(output.classes) > 40 else "")
    caption = (
        'Images of each domain in the first trial: "in" is trained on in a source, "out" is its '
        "validation part"
    )
    return table(["domain", *parts, "all"], lines, caption) + paragraph(
        f"{len(output.classes)} classes: {classes}", muted=True
    )


def _analyses(material: Material) -> Html:
    lines = []
    for analysis in sorted({entry.analysis for entry in material.analyses.entries}):
        mine = [entry for entry in material.analyses.entries if entry.analysis == analysis]
        seconds = [entry.seconds for entry in mine if entry.seconds is not None]
        mean = sum(seconds) / len(seconds) if seconds else None
        lines.append([analysis, str(len(mine)), short(mean, 2), short(sum(seconds), 2)])
    if not lines:
        return Html("")
    return heading("Analyses") + table(
        ["analysis", "models", "s a model", "s in all"],
        lines,
        "How many models each analysis looked at, and the seconds that it took",
    )
