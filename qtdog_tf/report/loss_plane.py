"""The loss on planes through three models."""

from qtdog_tf.pictures.plane import LEVELS, svg_plane
from qtdog_tf.report.blocks import Missing, Section, command, figure, paragraph
from qtdog_tf.report.material import Material


def plane_section(material: Material) -> Section:
    """Contours of the loss around three models."""
    name, title = "plane", "Loss plane"
    if not material.analyses.planes:
        missing = Missing(
            "The loss on the plane through three models",
            f"python -m tools.analyze {material.run_flag} --plane --analyses= "
            "--models=selected,selected_sma,selected_swad --output=plane",
            "It needs three models of one architecture, of one run for example.",
        )
        return Section(name, title, missing=(missing,))
    body = paragraph(
        "Three models span a plane in the space of weights; the loss was measured on a grid on it. "
        "Where lines lie far apart, the minimum is wide."
    )
    for plane, made_by in material.analyses.planes:
        labels = ", ".join(point["label"] for point in plane["points"])
        images = f" {plane['images']} images." if isinstance(plane.get("images"), int) else ""
        note = (
            f"The plane through {labels}; {LEVELS} levels, spaced by equal factors; the higher the "
            f"loss, the fuller the colour.{images}"
        )
        body += figure(svg_plane(plane), note) + command([made_by])
    return Section(name, title, body)
