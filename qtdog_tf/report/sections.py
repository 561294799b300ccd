"""The sections of a report in their order. Start from `make_sections`."""

from collections.abc import Callable

from qtdog_tf.report.attention import attention_section
from qtdog_tf.report.blocks import Section
from qtdog_tf.report.confidence import calibration_section
from qtdog_tf.report.files_for_phones import export_section
from qtdog_tf.report.flat_minima import flatness_section
from qtdog_tf.report.headline import headline_section
from qtdog_tf.report.loss_plane import plane_section
from qtdog_tf.report.material import Material
from qtdog_tf.report.predictions import predictions_section
from qtdog_tf.report.rounding import rounding_section
from qtdog_tf.report.summary import minute_section
from qtdog_tf.report.training_curves import curves_section
from qtdog_tf.report.what_was_run import run_section


def make_sections(
    material: Material, *, predictions: bool = True, images: int = 12, seed: int = 0
) -> list[Section]:
    """Every section; one without data has no body.

    Args:
        material: what the report is made of.
        predictions: load models that are still there, and show what they say.
        images: how many each gallery shows at most.
        seed: chooses the images of predictions.
    """
    plain: list[Callable[[Material], Section]] = [
        minute_section,
        run_section,
        headline_section,
        curves_section,
        flatness_section,
        rounding_section,
        plane_section,
        calibration_section,
    ]
    sections = [make(material) for make in plain]
    sections.append(attention_section(material, images))
    if predictions:
        sections.append(predictions_section(material, images, seed))
    return [*sections, export_section(material)]
