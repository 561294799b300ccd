"""Does flatter go with better? Flatness of every model against its accuracy on the target."""

from typing import Any

from qtdog_tf.evaluation.method_names import row_of_model
from qtdog_tf.pictures.scatter import scatter_panel
from qtdog_tf.pictures.svg import svg_panels
from qtdog_tf.records import SOURCE, TARGET
from qtdog_tf.report.accuracies import TARGET_IN
from qtdog_tf.report.analyses import Entry
from qtdog_tf.report.blocks import command, figure, heading, key_of, paragraph, table
from qtdog_tf.report.flat_values import flatness_at, quoted_radius
from qtdog_tf.report.html import Html
from qtdog_tf.report.material import Material, report_command
from qtdog_tf.report.numbers import correlation, pearson, spearman, within


def relation_to_accuracy(material: Material) -> Html:
    """Scatter and correlations; nothing below three models of which both are known."""
    points = flatness_points(material)
    radius = quoted_radius(material.analyses.of("flatness"))
    if len(points) < 3 or radius is None:
        return Html("")
    measures = {
        SOURCE: f"F at radius {radius:g} on training images",
        TARGET: f"F at radius {radius:g} on the target",
        "top": "top eigenvalue of the Hessian",
        "trace": "trace of the Hessian",
    }
    lines, panels = [], []
    for key, what in measures.items():
        there = [point for point in points if point[key] is not None]
        x, y = [point[key] for point in there], [point["y"] for point in there]
        if len(there) < 3:
            continue
        inside = pearson(within(there, key), within(there, "y"))
        whole = pearson(x, y), spearman(x, y)
        lines.append([what, *(correlation(value) for value in (*whole, inside)), str(len(there))])
        if key in (SOURCE, TARGET):
            shown = [{**point, "x": point[key]} for point in there]
            note = f"Pearson {correlation(whole[0])}, Spearman {correlation(whole[1])}"
            note = note if None not in whole else ""
            title = "Training flatness, accuracy" if key == SOURCE else "Target flatness, accuracy"
            panels.append(scatter_panel(shown, title, what, note, material.styles))
    header = ["measure", "Pearson", "Spearman", "within target and trial", "models"]
    return (
        heading("Does flatter go with better?")
        + paragraph(
            "A negative correlation says that flatter models had the better target accuracy. "
            'Targets differ in difficulty, whatever the method; "within target and trial" takes '
            "the mean of each target and trial off both first. A correlation of few runs is a weak "
            "statement, and no cause."
        )
        + figure(
            svg_panels(panels),
            "One point a model.",
            key_of(material.styles, dict.fromkeys(point["method"] for point in points)),
        )
        + table(header, lines, "Correlation with target accuracy over the models above")
        + command([report_command(material, analyses=True)])
    )


def flatness_points(material: Material) -> list[dict[str, Any]]:
    """Every run that has both a flatness at the quoted radius and a target accuracy.

    Returns:
        "method", "pair", "y" (accuracy on the target, 0 to 1), and by role "source" and "target"
        the flatness; "trace" and "top" of the Hessian where they were measured, else None.
    """
    series = material.analyses.of("flatness")
    radius = quoted_radius(series)
    hessian = {
        (entry.run, entry.model): entry.result
        for entries in material.analyses.of("hessian").values()
        for entry in entries
    }
    points = []
    for name, entries in series.items():
        for entry in entries:
            accuracy = target_accuracy(material, entry)
            values = {role: flatness_at(entry, role, radius or 0.0) for role in (SOURCE, TARGET)}
            if accuracy is None or radius is None:
                continue
            curvature = hessian.get((entry.run, entry.model))
            points.append(
                {
                    "method": name,
                    "pair": entry.pair,
                    "y": accuracy,
                    **values,
                    "trace": curvature["trace"]["mean"] if curvature else None,
                    "top": curvature["top"]["value"] if curvature else None,
                }
            )
    return points


def target_accuracy(material: Material, entry: Entry) -> float | None:
    """The accuracy on the target of the model that an analysis is of, 0 to 1.

    From the summary of its run (the "in" part), or where that is not there from its calibration
    (all images).
    """
    record = material.record_of(entry)
    if record is not None:
        return record.summary["rows"].get(row_of_model(entry.model), {}).get(TARGET_IN)
    for entries in material.analyses.of("calibration").values():
        for other in entries:
            if (other.run, other.model) == (entry.run, entry.model):
                found = [d["accuracy"] for d in other.result["domains"] if d["role"] == TARGET]
                return sum(found) / len(found) if found and None not in found else None
    return None
