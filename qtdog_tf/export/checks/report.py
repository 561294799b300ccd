"""What an export found, as text for a person and as plain values for JSON.

Start with `format_report` and `report_values`.
"""

import dataclasses
from typing import Any

from qtdog_tf.export.checks.agreement import summary
from qtdog_tf.export.exporter import Export
from qtdog_tf.export.run_images import CalibrationChoice
from qtdog_tf.export.settings import DYNAMIC, ExportSettings
from qtdog_tf.tables import format_table

_NAMES_SHOWN = 4
_MEGABYTE = 1e6


def format_report(
    export: Export, settings: ExportSettings, calibration: CalibrationChoice | None
) -> str:
    """The gate, the accuracies, the sizes and what to know, as tables and sentences."""
    parts = [_gate_table(export), _domain_table(export), _size_table(export)]
    parts += [_notes(export, settings, calibration)]
    return "\n\n".join(parts)


def report_values(
    export: Export, settings: ExportSettings, calibration: CalibrationChoice | None
) -> dict[str, Any]:
    """The same as plain values."""
    built = export.built
    chosen: dict[str, Any] | None = None
    if calibration is not None:
        chosen = {
            "images": len(calibration.pixels),
            "domains": calibration.domains,
            "seed": calibration.seed,
            "warnings": list(calibration.warnings),
        }
    return {
        "passed": export.passed,
        "settings": dataclasses.asdict(settings),
        "calibration": chosen,
        "checks": [dataclasses.asdict(check) for check in export.checks],
        "domains": [dataclasses.asdict(agreement) for agreement in export.agreements],
        "probabilities": dict(summary(export.agreements)),
        "sizes": dataclasses.asdict(export.sizes),
        "latency_ms": export.latency,
        "dead_channels": [dataclasses.asdict(channel) for channel in built.dead],
        "rounded_layers": built.rounded,
        "conversion": dataclasses.asdict(built.conversion),
    }


def _gate_table(export: Export) -> str:
    width = max(len(check.name) for check in export.checks)
    lines = [
        f"{'ok    ' if check.passed else 'FAILED'}  {check.name.ljust(width)}  {check.detail}"
        for check in export.checks
    ]
    return "\n".join(lines)


def _domain_table(export: Export) -> str:
    header = ["domain", "role", "images", "same class", "model", "file", "file - model"]
    header += ["mean diff.", "max diff."]
    rows = [
        [
            a.domain,
            a.role,
            str(a.images),
            f"{100 * a.same_class:.1f}",
            f"{100 * a.model_accuracy:.1f}",
            f"{100 * a.file_accuracy:.1f}",
            f"{100 * (a.file_accuracy - a.model_accuracy):+.1f}",
            f"{a.mean_difference:.4f}",
            f"{a.max_difference:.3f}",
        ]
        for a in export.agreements
    ]
    legend = (
        "Keras model and file on the same images, in %; images of source domains are mostly those\n"
        "trained on, so these accuracies compare, and do not estimate. diff.: of probabilities."
    )
    return format_table(header, rows) + "\n" + legend


def _size_table(export: Export) -> str:
    sizes = export.sizes

    def row(name: str, size: float, ratio: float | None = None) -> list[str]:
        times = ratio if ratio is not None else sizes.float_bytes / size
        return [name, f"{size / _MEGABYTE:.3f}", f"{times:.2f}"]

    rows = [
        row("float model", sizes.float_bytes),
        row("this file", sizes.bytes),
        row("this file, deflated", sizes.deflated_bytes),
        row("codes packed, rest float32", sizes.packed_bytes),
        row("the same, BatchNorm folded", sizes.folded_packed_bytes),
        row(f"the paper's account, 32 / {sizes.bits}", sizes.float_bytes / sizes.paper_ratio),
    ]
    return format_table(["size", "MB", "times smaller"], rows)


def _notes(export: Export, settings: ExportSettings, calibration: CalibrationChoice | None) -> str:
    built, notes = export.built, []
    if export.latency is not None:
        times = ", ".join(f"{ms:.2f} ms with {n}" for n, ms in export.latency.items())
        notes.append(f"An image takes {times} thread(s) here (median, one at a time).")
    if export.sizes.entropy_bits is not None:
        notes.append(
            f"Entropy of the learned codes: {export.sizes.entropy_bits:.2f} bits a weight, of "
            f"{export.sizes.bits} in use."
        )
    if built.rounded:
        notes.append(f"Float weights rounded to 8 bits: {_some(built.rounded)}.")
    if settings.kind == DYNAMIC:
        notes.append("LiteRT rounds activations to 8 bits on the fly, image by image.")
    if built.dead:
        channels = [f"{d.layer}[{d.channel}] = {d.constant:.3g}" for d in built.dead]
        lost = sum(d.nonzero_codes for d in built.dead)
        notes.append(
            f"{len(built.dead)} dead channels give a constant: {_some(channels)}; {lost} codes of "
            "theirs, too small to matter, are 0 in the file."
        )
    if calibration is not None and built.calibration is not None:
        domains = ", ".join(f"{n} of {name}" for name, n in calibration.domains.items())
        notes.append(
            f"Calibrated on {len(calibration.pixels)} training images ({domains}; seed "
            f"{calibration.seed}, observer {settings.observer})."
        )
    conversion = built.conversion
    notes.append(
        f"The converter took {conversion.seconds:.0f} s and "
        f"{conversion.peak_memory / 1e9:.1f} GB of memory."
    )
    return "\n".join(notes)


def _some(names: list[str]) -> str:
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
