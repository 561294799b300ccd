"""Accuracy over training: curves by method, and how steady the target's is."""

from collections.abc import Mapping, Sequence
from typing import Any

from qtdog_tf.evaluation.method_names import rank, weights_name
from qtdog_tf.pictures.curves import svg_curves
from qtdog_tf.records import RAW, SMA
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
from qtdog_tf.report.html import Html, join
from qtdog_tf.report.material import Material, report_command
from qtdog_tf.report.numbers import PM, percent, percent_and_error

# By method, the curves of its runs, each by kind of weights.
Curves = Mapping[str, Sequence[Mapping[str, Any]]]


def curves_section(material: Material) -> Section:
    """Source validation and target over steps, and two scalars of stability."""
    name, title = "curves", "Training curves and stability"
    by_method, start, commands = _curves(material)
    if not by_method:
        missing = Missing(
            "Curves over training",
            why="They need the results.jsonl of the runs, or a stability analysis.",
            analysis="stability",
        )
        return Section(name, title, missing=(missing,))
    kinds = [kind for kind in (RAW, SMA) if any(kind in c for cs in by_method.values() for c in cs)]
    first, *others = [_figure(material, by_method, kind, start) for kind in kinds] or [Html("")]
    body = paragraph(
        "Source validation chooses the step, blind to the target: where it stays level and the "
        "target's accuracy jumps, the choice is a matter of luck."
    )
    body += first + command(commands)
    body += join(details(f"The same, {weights_name(SMA)}", more) for more in others)
    return Section(name, title, body + _scalars(by_method))


def _curves(material: Material) -> tuple[Curves, int | None, list[str]]:
    """From the logs of the runs, or where there are none from stability analyses."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    starts = set()
    for run in material.single_runs:
        if run.curves:
            found.setdefault(run.method, []).append(run.curves)
            starts.add(run.start)
    commands = [report_command(material, analyses=False)]
    if not found:
        entries = {
            entry.run: entry
            for series in material.analyses.of("stability").values()
            for entry in series
        }
        for entry in entries.values():
            found.setdefault(entry.method, []).append(entry.result["weights"])
            starts.add(entry.result["start"])
        commands = [entry.command for entry in entries.values() if entry.command]
    ordered = {name: found[name] for name in sorted(found, key=rank)}
    return ordered, starts.pop() if len(starts) == 1 else None, commands


def _figure(material: Material, by_method: Curves, kind: str, start: int | None) -> Html:
    chosen = {
        name: [curves[kind] for curves in of_method if kind in curves]
        for name, of_method in by_method.items()
    }
    chosen = {name: curves for name, curves in chosen.items() if curves}
    runs = ", ".join(f"{name} {len(curves)}" for name, curves in chosen.items())
    return figure(
        svg_curves(chosen, start, material.styles),
        f"Weights {weights_name(kind)}. Mean over targets and trials; the band is its standard "
        f'error over runs ({runs}). Target: the "in" part. The first steps may lie below the '
        "picture.",
        key_of(material.styles, chosen),
    )


def _scalars(by_method: Curves) -> Html:
    lines = []
    for name, of_method in by_method.items():
        for kind in (RAW, SMA):
            curves = [curves[kind] for curves in of_method if kind in curves]
            spread, gap = (
                [c[key] for c in curves if c[key] is not None]
                for key in ("std_after_start", "best_minus_selected")
            )
            if spread or gap:
                lines.append(
                    [
                        name,
                        weights_name(kind),
                        percent_and_error(spread),
                        percent_and_error(gap),
                        percent(max(gap)) if gap else "-",
                        str(len(curves)),
                    ]
                )
    if not lines:
        return Html("")
    header = ["method", "weights", "deviation after K", "best - selected", "largest", "runs"]
    caption = (
        "Standard deviation of the target's accuracy over the evaluations from step K on, and how "
        "much better its best step is than the one that source validation selects; percentage "
        f"points, mean {PM} standard error over runs"
    )
    return heading("How steady") + table(header, lines, caption, left=2)
